//! The configuration while it is being read.

use std::ffi::CStr;
use std::fmt;
use std::marker::PhantomData;
use std::os::raw::{c_char, c_void};
use std::ptr::{self, NonNull};

use ngx::core::{NGX_CONF_ERROR, NGX_CONF_OK};

use super::owned::MainConf;
use super::pool::Pool;
use super::sys;
use super::upstream::Upstream;

/// What answers the requests of a location (`ngx_http_handler_pt`).
pub type Handler = unsafe extern "C" fn(sys::RequestPtr) -> sys::ngx_int_t;

/// The place of a directive. Displays as nginx appends it to a message.
#[derive(Clone, Copy)]
pub struct Position<'c> {
    file: &'c [u8],
    line: usize,
}

impl fmt::Display for Position<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, " in {}:{}", self.file.escape_ascii(), self.line)
    }
}

/// `ngx_conf_t`: the directive that is being read, or the whole configuration at the end.
#[derive(Clone, Copy)]
pub struct Conf<'c>(NonNull<sys::ngx_conf_t>, PhantomData<&'c ()>);

impl<'c> Conf<'c> {
    /// # Safety
    /// `cf` is what nginx passed to a directive or to a module's configuration callback; `'c` ends
    /// with the cycle.
    pub unsafe fn from_ptr(cf: *mut sys::ngx_conf_t) -> Option<Self> {
        NonNull::new(cf).map(|cf| Self(cf, PhantomData))
    }

    /// The pointer for nginx's own functions.
    pub fn as_ptr(self) -> *mut sys::ngx_conf_t {
        self.0.as_ptr()
    }

    /// The words of the directive after its name.
    pub fn words(self) -> Vec<&'c [u8]> {
        // SAFETY: ngx_conf_read_token() fills args with strings in the cycle's pool; a module that
        // changes them keeps to that.
        unsafe {
            let args: &[sys::ngx_str_t] = (*self.0.as_ref().args).as_slice();
            args.iter().skip(1).map(|word| sys::bytes(*word)).collect()
        }
    }

    /// The memory of the cycle.
    pub fn pool(self) -> Option<Pool<'c>> {
        // SAFETY: ngx_init_cycle() sets pool to the new cycle's.
        unsafe { Pool::from_ptr(self.0.as_ref().pool) }
    }

    /// The full name of a file, which is relative to nginx's prefix unless it is absolute. `None`:
    /// out of memory.
    pub fn full_name(self, name: &[u8]) -> Option<&'c [u8]> {
        self.full(name, 0)
    }

    /// The same, relative to the folder of the configuration.
    pub fn full_conf_name(self, name: &[u8]) -> Option<&'c [u8]> {
        self.full(name, 1)
    }

    fn full(self, name: &[u8], conf_prefix: sys::ngx_uint_t) -> Option<&'c [u8]> {
        // ngx_get_full_name() leaves an absolute name as it is, and takes it to end in a zero.
        let name = self.pool()?.copy(&[name, b"\0"].concat())?;
        let mut full = sys::string(name.strip_suffix(b"\0")?);
        // SAFETY: ngx_init_cycle() sets cycle; ngx_conf_full_name() reads its prefix. The name
        // lives as long as the configuration.
        unsafe {
            let code = sys::ngx_conf_full_name(self.0.as_ref().cycle, &mut full, conf_prefix);
            (code == sys::OK).then(|| sys::bytes(full))
        }
    }

    /// Where the directive that is being read ends.
    pub fn position(self) -> Position<'c> {
        // SAFETY: ngx_conf_parse() sets conf_file, whose name and line ngx_conf_log_error() writes;
        // the name is in the cycle's pool (ngx_conf_include(), ngx_init_cycle()).
        unsafe {
            match self.0.as_ref().conf_file.as_ref() {
                Some(file) => Position {
                    file: sys::bytes(file.file.name),
                    line: file.line,
                },
                None => Position { file: b"", line: 0 },
            }
        }
    }

    /// Writes why the configuration is refused, with no file and line but what the message has
    /// itself.
    pub fn refuse_elsewhere(self, why: fmt::Arguments<'_>) {
        // SAFETY: ngx_init_cycle() sets log, which outlives the reading.
        let log = unsafe { self.0.as_ref().log };
        ngx::ngx_log_error!(sys::NGX_LOG_EMERG, log, "{}", why);
    }

    /// Writes a doubt about the configuration, with no file and line but what the message has
    /// itself.
    pub fn warn_elsewhere(self, what: fmt::Arguments<'_>) {
        // SAFETY: as in refuse_elsewhere().
        let log = unsafe { self.0.as_ref().log };
        ngx::ngx_log_error!(sys::NGX_LOG_WARN, log, "{}", what);
    }

    /// Writes a doubt about the configuration, with the file and the line of the directive.
    pub fn warn(self, what: std::fmt::Arguments<'_>) {
        ngx::ngx_conf_log_error!(sys::NGX_LOG_WARN, self.as_ptr(), "{}", what);
    }

    /// Writes why the configuration is refused, with the file and the line of the directive.
    pub fn refuse(self, why: std::fmt::Arguments<'_>) {
        ngx::ngx_conf_log_error!(sys::NGX_LOG_EMERG, self.as_ptr(), "{}", why);
    }

    /// The upstream whose block is being read.
    pub fn upstream(self) -> Option<Upstream<'c>> {
        // SAFETY: ngx_http_upstream() sets cf->ctx to an ngx_http_conf_ctx_t whose srv_conf has the
        // block's own ngx_http_upstream_srv_conf_t.
        unsafe {
            let ctx = self.0.as_ref().ctx.cast::<sys::ngx_http_conf_ctx_t>();
            let module = &raw const sys::ngx_http_upstream_module;
            Upstream::from_ptr((*(*ctx).srv_conf.add((*module).ctx_index)).cast())
        }
    }

    /// What the module of `T` keeps for the whole of `http`.
    pub fn main_conf<T: MainConf>(self) -> Option<&'c T> {
        // SAFETY: MainConf says what the place holds. ngx_http_block() sets cf->ctx to an
        // ngx_http_conf_ctx_t with a main_conf for every HTTP module; ngx_http_upstream() and all
        // others take it over.
        unsafe {
            let ctx = self.0.as_ref().ctx.cast::<sys::ngx_http_conf_ctx_t>();
            let main = *(*ctx).main_conf.add((*T::module()).ctx_index);
            main.cast::<T>().as_ref()
        }
    }

    /// Has the location whose block is being read, or merged, answered by a handler, see
    /// [`Request::reply`](super::request::Request::reply).
    pub fn set_handler(self, handler: Handler) {
        if let Some(mut location) = self.location() {
            // SAFETY: nobody else uses the location while its block is read
            // (ngx_http_core_location()) or merged (ngx_http_merge_locations()).
            unsafe { location.as_mut().handler = Some(handler) }
        }
    }

    /// Whether the location whose block is being read, or merged, is answered by another handler.
    pub fn has_other_handler(self, own: Handler) -> bool {
        // SAFETY: a field of a live location.
        let handler = self
            .location()
            .and_then(|location| unsafe { location.as_ref().handler });
        handler.is_some_and(|handler| !std::ptr::fn_addr_eq(handler, own))
    }

    /// Whether the block that is being merged is a part of its location, as that of `if` or
    /// `limit_except` is, and has no handler of its own.
    pub fn is_part_without_handler(self) -> bool {
        // SAFETY: a live location. Of the bits, ngx_http_rewrite_if() and
        // ngx_http_core_limit_except() set this one.
        self.location().is_some_and(|location| unsafe {
            location.as_ref().noname() != 0 && location.as_ref().handler.is_none()
        })
    }

    fn location(self) -> Option<NonNull<sys::ngx_http_core_loc_conf_t>> {
        // SAFETY: cf->ctx is an ngx_http_conf_ctx_t, whose loc_conf has one for every HTTP module
        // (ngx_http_core_location(), ngx_http_merge_locations()).
        unsafe {
            let ctx = self.0.as_ref().ctx.cast::<sys::ngx_http_conf_ctx_t>();
            let module = &raw const sys::ngx_http_core_module;
            NonNull::new((*(*ctx).loc_conf.add((*module).ctx_index)).cast())
        }
    }

    /// All upstreams so far, in order.
    pub fn upstreams(self) -> Vec<Upstream<'c>> {
        // SAFETY: ngx_http_block() sets cf->ctx to an ngx_http_conf_ctx_t, and so does
        // ngx_http_upstream(), with the same main_conf. ngx_http_upstream_create_main_conf() makes
        // the array, ngx_http_upstream_add() fills it with pointers.
        unsafe {
            let ctx = self.0.as_ref().ctx.cast::<sys::ngx_http_conf_ctx_t>();
            let module = &raw const sys::ngx_http_upstream_module;
            let main = *(*ctx).main_conf.add((*module).ctx_index);
            let main = main.cast::<sys::ngx_http_upstream_main_conf_t>();
            let all: &[*mut sys::ngx_http_upstream_srv_conf_t] = (*main).upstreams.as_slice();
            all.iter()
                .filter_map(|&us| Upstream::from_ptr(us))
                .collect()
        }
    }

    /// Has nginx call the handler when a request is logged, whether it is written to a log or not.
    /// False: out of memory. In a module's postconfiguration only.
    pub fn add_log_handler(self, handler: unsafe extern "C" fn(sys::RequestPtr) -> isize) -> bool {
        // SAFETY: as in main_conf(), for the core's, which ngx_http_core_create_main_conf() makes.
        // ngx_http_init_phases() has made the array when postconfigurations are called
        // (ngx_http_block()), of handlers, which ngx_http_log_request() calls with a request.
        // ngx_array_push() returns NULL or room for one.
        unsafe {
            let ctx = self.0.as_ref().ctx.cast::<sys::ngx_http_conf_ctx_t>();
            let module = &raw const sys::ngx_http_core_module;
            let main = *(*ctx).main_conf.add((*module).ctx_index);
            let main = main.cast::<sys::ngx_http_core_main_conf_t>();
            let phase = sys::ngx_http_phases_NGX_HTTP_LOG_PHASE as usize;
            let handlers = &raw mut (*main).phases[phase].handlers;
            let place = sys::ngx_array_push(handlers).cast::<sys::ngx_http_handler_pt>();
            let is_room = !place.is_null();
            if is_room {
                place.write(Some(handler));
            }
            is_room
        }
    }

    /// Removes words from the directive: those after its name for which `keep` has no `true`.
    pub fn retain_words(self, keep: &[bool]) {
        // SAFETY: ngx_conf_read_token() fills args with nelts strings, anew for each directive;
        // nobody else uses them meanwhile.
        unsafe {
            let args = &mut *self.0.as_ref().args;
            let words = args.elts.cast::<sys::ngx_str_t>();
            let mut kept = 1;
            for index in 1..args.nelts {
                if keep.get(index - 1) == Some(&true) {
                    *words.add(kept) = *words.add(index);
                    kept += 1;
                }
            }
            args.nelts = kept;
        }
    }

    /// Whether the directive stands in an upstream block.
    pub fn is_in_upstream(self) -> bool {
        // SAFETY: ngx_http_upstream() sets cmd_type while it reads the block.
        unsafe { self.0.as_ref().cmd_type == sys::NGX_HTTP_UPS_CONF as usize }
    }

    /// The name of the module that [`Conf::pass_on`] would pass the directive on to.
    pub fn next_module(self, not: *const sys::ngx_module_t) -> Option<&'c [u8]> {
        let (module, _) = self.next_command(not)?;
        // SAFETY: ngx_preinit_modules() and ngx_add_module() set name.
        unsafe {
            let name = module.name.cast_const();
            (!name.is_null()).then(|| CStr::from_ptr(name.cast()).to_bytes())
        }
    }

    /// Passes the directive on to the first module but `not` that declares it for upstream blocks,
    /// as ngx_conf_handler() does it.
    pub fn pass_on(self, not: *const sys::ngx_module_t) -> *mut c_char {
        // SAFETY: next_command() has found it there.
        unsafe {
            if let Some((module, command)) = self.next_command(not) {
                return self.call(module, command, (*self.0.as_ref().args).nelts);
            }
            let args: &[sys::ngx_str_t] = (*self.0.as_ref().args).as_slice();
            let name = args.first().map(|name| sys::bytes(*name));
            self.refuse(format_args!(
                "unknown directive \"{}\"",
                name.unwrap_or_default().escape_ascii()
            ));
        }
        NGX_CONF_ERROR
    }

    /// The command of the first module but `not` that declares the directive for upstream blocks.
    fn next_command(
        self,
        not: *const sys::ngx_module_t,
    ) -> Option<(&'c sys::ngx_module_t, *mut sys::ngx_command_t)> {
        // SAFETY: ngx_cycle_modules() and ngx_add_module() put modules_n pointers into
        // cycle->modules; a module's commands are NULL or end with ngx_null_command.
        // ngx_conf_handler() walks them in the same way.
        unsafe {
            let cf = self.0.as_ref();
            let args: &[sys::ngx_str_t] = (*cf.args).as_slice();
            let name = args.first().map(|name| sys::bytes(*name))?;
            let count = (*cf.cycle).modules_n;
            for index in 0..count {
                let module = *(*cf.cycle).modules.add(index);
                if ptr::eq(module, not) || (*module).type_ != sys::NGX_HTTP_MODULE as usize {
                    continue;
                }
                let mut command = (*module).commands;
                while !command.is_null() && (*command).name.len != 0 {
                    if sys::bytes((*command).name) == name
                        && (*command).type_ & sys::NGX_HTTP_UPS_CONF as usize != 0
                    {
                        return Some((&*module, command));
                    }
                    command = command.add(1);
                }
            }
        }
        None
    }

    /// # Safety
    /// `command` is one of `module`'s, for upstream blocks.
    unsafe fn call(
        self,
        module: &sys::ngx_module_t,
        command: *mut sys::ngx_command_t,
        words: usize,
    ) -> *mut c_char {
        // SAFETY: the caller's promise. For a command of an HTTP module, conf is the offset of a
        // field of ngx_http_conf_ctx_t, which cf->ctx is, and ctx_index the module's place in that
        // field's array (ngx_conf_handler()).
        unsafe {
            let arguments = words - 1;
            let kind = (*command).type_;
            let fits = (kind & sys::NGX_CONF_1MORE as usize != 0 && arguments >= 1)
                || (kind & sys::NGX_CONF_2MORE as usize != 0 && arguments >= 2)
                || kind & sys::NGX_CONF_ANY as usize != 0
                || (arguments <= sys::NGX_CONF_MAX_ARGS as usize && kind & (1 << arguments) != 0);
            if !fits {
                let name = sys::bytes((*command).name).escape_ascii();
                self.refuse(format_args!(
                    "invalid number of arguments in \"{name}\" directive"
                ));
                return NGX_CONF_ERROR;
            }
            let ctx = self.0.as_ref().ctx.cast::<u8>();
            let confs = ctx.add((*command).conf).cast::<*mut *mut c_void>().read();
            let conf = if confs.is_null() {
                ptr::null_mut()
            } else {
                *confs.add(module.ctx_index)
            };
            match (*command).set {
                Some(set) => set(self.as_ptr(), command, conf),
                None => NGX_CONF_OK,
            }
        }
    }
}
