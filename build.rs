//! Binds what nginx-sys leaves out or binds wrongly, and tells the code which nginx it is built
//! for.
//!
//! nginx-sys 0.5 uses bindgen 0.72, which places the bit-fields of `ngx_http_request_s` wrongly
//! from nginx 1.29.3 on. The request is therefore bound here, by a bindgen that has the fix;
//! every other type comes from nginx-sys. `tests/layout.rs` holds both against a C probe.

use std::env;
use std::path::PathBuf;

/// nginx versions at which a structure or a function that the module uses changed.
const VERSIONS: &[(u32, &str)] = &[
    (1_023_000, "1.23.0"), // headers_in.cookie is a list of elements
    (1_027_003, "1.27.3"), // peers come and go: config, refs, zombie
    (1_029_000, "1.29.0"), // Early Hints are passed on
    (HINT, "1.29.6"),      // balancers honour pc->hint: nginx's own sticky, route=, drain
];

/// Where nginx was built without its own `sticky`, its balancers are as they were before.
const HINT: u32 = 1_029_006;

fn main() {
    let metadata = |name: &str| {
        env::var(format!("DEP_NGINX_{name}"))
            .unwrap_or_else(|_| panic!("nginx-sys did not pass {name}: is it a direct dependency?"))
    };
    let includes: Vec<PathBuf> = env::split_paths(&metadata("INCLUDE")).collect();
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));

    bindgen::Builder::default()
        .header_contents(
            "nginx.h",
            "#include <ngx_config.h>\n#include <ngx_core.h>\n#include <ngx_http.h>\n",
        )
        .clang_args(includes.iter().map(|dir| format!("-I{}", dir.display())))
        .allowlist_type("ngx_http_request_s")
        .allowlist_recursively(false)
        .raw_line("use nginx_sys::*;")
        .layout_tests(false)
        .use_core()
        .generate()
        .expect("bindgen reads nginx's headers")
        .write_to_file(out.join("request.rs"))
        .expect("OUT_DIR is writable");

    let version: u32 = metadata("VERSION_NUMBER")
        .parse()
        .expect("nginx_version is a number");
    let has_hint = includes.iter().any(|dir| {
        let config = std::fs::read_to_string(dir.join("ngx_auto_config.h"));
        config.is_ok_and(|config| config.contains("define NGX_HTTP_UPSTREAM_STICKY "))
    });
    for (since, name) in VERSIONS {
        println!("cargo::rustc-check-cfg=cfg(nginx_since, values(\"{name}\"))");
        if version >= *since && (*since != HINT || has_hint) {
            println!("cargo::rustc-cfg=nginx_since=\"{name}\"");
        }
    }
    println!(
        "cargo::rustc-check-cfg=cfg(ngx_feature, values({}))",
        metadata("FEATURES_CHECK")
    );
    for feature in metadata("FEATURES")
        .split(',')
        .filter(|feature| !feature.is_empty())
    {
        println!("cargo::rustc-cfg=ngx_feature=\"{feature}\"");
    }

    // nginx unloads a module when a configuration does without it, but not the timers and the
    // threads of a process that goes on.
    if env::var("CARGO_CFG_TARGET_VENDOR").as_deref() != Ok("apple") {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }

    // For tests/layout.rs, which compiles a C probe against the same headers.
    println!("cargo::rustc-env=NGINX_INCLUDE={}", metadata("INCLUDE"));
    // What the file says of itself.
    println!("cargo::rustc-env=NGINX_BUILT_FOR={}", metadata("VERSION"));
    // For the Makefile: where a vendored nginx was built.
    println!(
        "cargo::rustc-env=NGINX_BUILD_DIR_USED={}",
        metadata("BUILD_DIR")
    );
    println!("cargo::rerun-if-changed=build.rs");
}
