# For nginx's configure: how nginx's make has the archive of the module built, see config.

ngx_sticky_rs_deps=$(find "$ngx_addon_dir/src" -name '*.rs')

# With --add-dynamic-module configure writes a rule for the file, which does not know the archive;
# where the module is linked in, LINK_DEPS does.
case " $DYNAMIC_MODULES " in
    *" ngx_http_sticky_rs_module "*)
        echo "$NGX_OBJS/ngx_http_sticky_rs_module.so: $ngx_sticky_rs_lib" >> $NGX_MAKEFILE
    ;;
esac

# Not a phony target: sudo make install must find it made. Cargo leaves the time of an archive that
# needs no change as it was, make would come back for ever.
cat << END >> $NGX_MAKEFILE

$ngx_sticky_rs_lib: \\
	$(echo $ngx_sticky_rs_deps) \\
	$ngx_addon_dir/build.rs $ngx_addon_dir/Cargo.toml $ngx_addon_dir/Cargo.lock \\
	$ngx_addon_dir/src/core/Cargo.toml $ngx_addon_dir/src/words/Cargo.toml \\
	$NGX_OBJS/ngx_auto_config.h
	NGINX_SOURCE_DIR="\$\$(pwd)" \\
	NGINX_BUILD_DIR="\$\$(cd "$NGX_OBJS" && pwd)" \\
	"$ngx_sticky_rs_cargo" rustc --release --locked --crate-type staticlib \\
		--manifest-path "$ngx_addon_dir/Cargo.toml" --package ngx_http_sticky_rs --lib \\
		--features static --target-dir "$NGX_OBJS/addon/ngx_http_sticky_rs"
	touch "$ngx_sticky_rs_lib"

END
