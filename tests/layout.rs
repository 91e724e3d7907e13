//! Tests for the bindings: every structure and every bit-field that the module uses lies where a C
//! compiler puts it; without the module's own binding of the request this fails from nginx 1.29.3
//! on. The probe is compiled from the same headers.

use std::collections::BTreeMap;
use std::env;
use std::mem::{offset_of, size_of, zeroed};
use std::path::PathBuf;
use std::process::Command;

use nginx_sys::*;

#[allow(
    clippy::all,
    clippy::ptr_as_ptr,
    clippy::undocumented_unsafe_blocks,
    dead_code,
    non_camel_case_types,
    non_snake_case,
    unused_imports
)]
mod bound {
    include!(concat!(env!("OUT_DIR"), "/request.rs"));
}
use bound::ngx_http_request_s;

/// What Rust says, and the C program that says the same.
#[derive(Default)]
struct Probe {
    rust: BTreeMap<String, usize>,
    c: String,
}

macro_rules! plain {
    ($probe:ident, $($type:ident { $($($field:ident).+),* $(,)? })*) => { $(
        let name = stringify!($type);
        $probe.size(name, size_of::<$type>());
        $( $probe.field(
            name,
            &[$(stringify!($field)),+],
            offset_of!($type, $($field).+),
        ); )*
    )* };
}

macro_rules! bits {
    ($probe:ident, $($type:ident { $($field:ident / $set:ident),* $(,)? })*) => { $( $( {
        // SAFETY: all of these are plain C structures, for which zeroes are a value.
        let mut value: $type = unsafe { zeroed() };
        value.$set(1);
        let start = std::ptr::from_ref(&value).cast::<u8>();
        // SAFETY: the bytes of value, which has no padding that was not zeroed.
        let bytes = unsafe { std::slice::from_raw_parts(start, size_of::<$type>()) };
        $probe.bit(stringify!($type), stringify!($field), first_bit(bytes));
    } )* )* };
}

fn first_bit(bytes: &[u8]) -> usize {
    let byte = bytes
        .iter()
        .position(|&byte| byte != 0)
        .expect("the field was set to 1");
    byte * 8 + bytes[byte].trailing_zeros() as usize
}

impl Probe {
    fn c_type(name: &str) -> String {
        match name.strip_suffix("_s") {
            Some(stem) => format!("{stem}_t"),
            None => name.to_string(),
        }
    }

    fn size(&mut self, name: &str, size: usize) {
        let c_type = Self::c_type(name);
        self.rust.insert(format!("sizeof {name}"), size);
        self.c += &format!("printf(\"sizeof {name}=%zu\\n\", sizeof({c_type}));\n");
    }

    fn field(&mut self, name: &str, path: &[&str], offset: usize) {
        // Rust's binding renames C's `type`.
        let field = path.join(".");
        let field = match field.as_str() {
            "type_" => "type",
            other => other,
        };
        let c_type = Self::c_type(name);
        self.rust.insert(format!("{name}.{field}"), offset);
        self.c += &format!("printf(\"{name}.{field}=%zu\\n\", offsetof({c_type}, {field}));\n");
    }

    fn bit(&mut self, name: &str, field: &str, bit: usize) {
        let c_type = Self::c_type(name);
        self.rust.insert(format!("{name}.{field} (bit)"), bit);
        self.c += &format!(
            "{{ {c_type} v; memset(&v, 0, sizeof(v)); v.{field} = 1;\n\
             printf(\"{name}.{field} (bit)=%zu\\n\", first_bit(&v, sizeof(v))); }}\n"
        );
    }

    /// Compiles and runs the C side.
    fn run(&self) -> BTreeMap<String, usize> {
        let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let source = dir.join("layout.c");
        let binary = dir.join("layout");
        let program = format!(
            "#include <ngx_config.h>\n#include <ngx_core.h>\n#include <ngx_http.h>\n\
             static size_t first_bit(void *p, size_t n) {{\n\
             unsigned char *b = p; size_t i;\n\
             for (i = 0; i < n * 8; i++) {{ if (b[i / 8] >> (i % 8) & 1) return i; }}\n\
             return n * 8; }}\n\
             int main(void) {{\n{}return 0; }}\n",
            self.c
        );
        std::fs::write(&source, program).unwrap();
        let compiled = Command::new(env::var_os("CC").unwrap_or_else(|| "cc".into()))
            .args(env::split_paths(env!("NGINX_INCLUDE")).map(|dir| format!("-I{}", dir.display())))
            .arg(&source)
            .arg("-o")
            .arg(&binary)
            .status()
            .expect("a C compiler, as nginx's own build needs one");
        assert!(compiled.success(), "the probe compiles");
        let output = Command::new(&binary).output().unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        let lines = text
            .lines()
            .map(|line| line.rsplit_once('=').expect("NAME=NUMBER"));
        lines
            .map(|(name, value)| (name.to_string(), value.parse().unwrap()))
            .collect()
    }
}

#[test]
fn structures_lie_where_c_puts_them() {
    let mut probe = Probe::default();
    plain! { probe,
        ngx_http_request_s {
            connection, ctx, main_conf, loc_conf, variables, upstream, upstream_states, pool, request_body, method,
            args, main, unparsed_uri, uri,
            headers_in.headers, headers_in.content_type, headers_in.server,
            headers_out.headers, headers_out.status, headers_out.content_encoding,
            headers_out.content_type, headers_out.content_type_len, headers_out.content_type_lowcase,
            headers_out.charset, headers_out.content_length, headers_out.content_length_n,
            headers_out.last_modified, headers_out.last_modified_time, headers_out.accept_ranges,
            headers_out.cache_control, read_event_handler, write_event_handler,
        }
        ngx_http_headers_in_t { content_length_n }
        ngx_http_request_body_t { bufs, post_handler }
        ngx_connection_s { fd, log }
        ngx_table_elt_t { hash, key, value, lowcase_key }
        ngx_list_t { part }
        ngx_list_part_s { elts, nelts, next }
        ngx_array_t { elts, nelts }
        ngx_str_t { len, data }
        ngx_chain_s { buf, next }
        ngx_buf_s { pos, last, start, end, file_pos, file_last, file, tag }
        ngx_file_s { fd }
        ngx_pool_cleanup_s { handler, data }
        ngx_http_upstream_t {
            peer, conf, resolved, headers_in.status_n, headers_in.headers, finalize_request, cleanup, state,
        }
        ngx_http_upstream_state_t { status }
        ngx_http_upstream_conf_t { next_upstream_tries, upstream, hide_headers_hash }
        ngx_peer_connection_s {
            connection, sockaddr, socklen, name, tries, get, free, notify, data,
        }
        ngx_http_upstream_srv_conf_s { peer, srv_conf, servers, flags, host }
        ngx_http_upstream_server_t { naddrs, addrs, down }
        ngx_addr_t { name }
        ngx_http_complex_value_t { value, flushes, lengths }
        ngx_http_core_main_conf_t { variables, phase_engine.handlers }
        ngx_http_phase_handler_s { checker, handler, next }
        ngx_http_core_loc_conf_s { name, handler }
        ngx_http_compile_complex_value_t { cf, value, complex_value }
        ngx_http_upstream_peer_t { init_upstream, init, data }
        ngx_http_upstream_main_conf_t { upstreams }
        ngx_http_upstream_rr_peer_s {
            sockaddr, socklen, name, conns, max_conns, fails, checked, max_fails, fail_timeout,
            down, next, weight,
        }
        ngx_http_upstream_rr_peers_s { number, name, next, peer }
        ngx_http_upstream_rr_peer_data_t { peers, current, tried }
        ngx_http_variable_s { get_handler, flags }
        ngx_variable_value_t { data }
        ngx_conf_s { args, cycle, pool, ctx }
        ngx_http_conf_ctx_t { main_conf, srv_conf, loc_conf }
        ngx_command_s { name, type_, set, conf }
        ngx_module_s {
            ctx_index, index, type_, ctx, commands, init_module, init_process, exit_process,
            exit_master,
        }
        ngx_cycle_s { conf_ctx, log, modules, modules_n, shared_memory }
        ngx_core_conf_t { user, group }
        ngx_process_t { pid }
        ngx_event_s { data, handler, log, timer }
        ngx_shm_zone_s { data, shm, init, tag }
        ngx_shm_t { addr, size, name, log }
        ngx_slab_pool_t { data, pfree }
        ngx_log_s { log_level }
    }
    #[cfg(nginx_since = "1.23.0")]
    plain! { probe, ngx_http_request_s { headers_in.cookie } ngx_table_elt_t { next } }
    #[cfg(not(nginx_since = "1.23.0"))]
    plain! { probe, ngx_http_request_s { headers_in.cookies } }
    #[cfg(ngx_feature = "http_upstream_zone")]
    plain! { probe,
        ngx_http_upstream_srv_conf_s { shm_zone }
        ngx_http_upstream_rr_peer_s { lock }
        ngx_http_upstream_rr_peers_s { shpool, rwlock }
    }
    #[cfg(all(nginx_since = "1.27.3", ngx_feature = "http_upstream_zone"))]
    plain! { probe,
        ngx_http_upstream_rr_peer_s { refs, host }
        ngx_http_upstream_rr_peers_s { config, resolve }
        ngx_http_upstream_rr_peer_data_t { config }
        ngx_http_upstream_host_t { peer }
        ngx_http_upstream_server_t { host }
    }
    #[cfg(nginx_since = "1.29.6")]
    plain! { probe,
        ngx_http_upstream_rr_peer_s { sid }
        ngx_peer_connection_s { hint, sid }
        ngx_http_upstream_server_t { sid }
    }
    #[cfg(any(ngx_feature = "ssl", ngx_feature = "compat"))]
    plain! { probe, ngx_peer_connection_s { set_session, save_session } }
    bits! { probe,
        ngx_http_request_s {
            background / set_background, cached / set_cached, count / set_count, header_only / set_header_only,
            allow_ranges / set_allow_ranges,
            filter_need_in_memory / set_filter_need_in_memory,
            request_body_no_buffering / set_request_body_no_buffering,
            valid_unparsed_uri / set_valid_unparsed_uri,
        }
        ngx_buf_s {
            temporary / set_temporary, memory / set_memory, mmap / set_mmap,
            in_file / set_in_file, last_buf / set_last_buf, last_in_chain / set_last_in_chain,
            flush / set_flush, sync / set_sync,
        }
        ngx_http_headers_in_t { chunked / set_chunked }
        ngx_http_request_body_t { last_saved / set_last_saved }
        ngx_http_upstream_server_t { backup / set_backup }
        ngx_peer_connection_s { cached / set_cached }
        ngx_connection_s { buffered / set_buffered }
        ngx_http_core_loc_conf_s { noname / set_noname }
        ngx_event_s { cancelable / set_cancelable, timer_set / set_timer_set }
        ngx_process_t { exited / set_exited }
        ngx_variable_value_t {
            len / set_len, valid / set_valid, no_cacheable / set_no_cacheable,
            not_found / set_not_found, escape / set_escape,
        }
    }
    #[cfg(ngx_feature = "http_cache")]
    plain! { probe, ngx_http_request_s { cache } }
    #[cfg(ngx_feature = "http_cache")]
    bits! { probe, ngx_http_upstream_t { cache_status / set_cache_status } }
    let c = probe.run();
    assert!(c.len() > 100, "the probe has printed what was asked");
    assert_eq!(probe.rust, c);
}
