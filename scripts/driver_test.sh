#!/bin/sh
# What driver.sh decides, in a made-up file system (a folder) with made-up commands (a PATH of stubs).
# The stubs log what they are asked to do; nothing is installed.
# shellcheck disable=SC2016 # stub bodies expand in the stub
set -eu
cd "$(dirname "$0")"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export WGRAD_DRIVER_ROOT="$tmp/fake" STUB_LOG="$tmp/log"
unset VK_DRIVER_FILES VK_ICD_FILENAMES VK_ADD_DRIVER_FILES WGPU_BACKEND LD_LIBRARY_PATH XDG_DATA_DIRS
failed=0

stub() { # stub NAME BODY
    printf '#!/bin/sh\n%s\n' "$2" >"$tmp/bin/$1" && chmod +x "$tmp/bin/$1"
}
stub_apt() { # stub_apt EXIT_STATUS: logs its words; a good install leaves a driver behind
    stub apt-get 'echo "apt-get $*" >>"$STUB_LOG"
        case $* in *install*) [ "$STUB_APT" != 0 ] || "$STUB_INSTALLS" ;; esac
        exit "$STUB_APT"'
    export STUB_APT="$1" STUB_INSTALLS="$tmp/add_vulkan"
}
new_machine() { # new_machine UID [OS]: neither driver nor package manager
    rm -rf "${tmp:?}/fake" "${tmp:?}/bin"
    mkdir -p "$tmp/fake/usr/lib" "$tmp/fake/usr/share/vulkan/icd.d" "$tmp/bin"
    for tool in sh env sed grep tr touch; do ln -s "$(command -v $tool)" "$tmp/bin/$tool"; done
    stub id "echo $1"
    stub uname "echo ${2:-Linux}"
    stub ldconfig :
    : >"$tmp/log"
}
lib() { touch "$tmp/fake/usr/lib/$1"; }
manifest() { # manifest PATH LIBRARY
    mkdir -p "$(dirname "$tmp/fake$1")"
    printf '{\n  "ICD": {\n    "library_path": "%s"\n  }\n}\n' "$2" >"$tmp/fake$1"
}
gl() { lib libEGL.so.1 && mkdir "$tmp/fake/usr/lib/dri" && lib dri/swrast_dri.so; }
expect() { # expect WHAT EXIT_STATUS MESSAGE LOG: substrings; an empty LOG means that no command was run
    got=0
    PATH="$tmp/bin" /bin/sh driver.sh >"$tmp/out" 2>"$tmp/err" </dev/null || got=$?
    log=$(cat "$tmp/log")
    ok=yes
    [ "$got" = "$2" ] || ok=no
    [ ! -s "$tmp/out" ] || ok=no
    grep -qF -- "$3" "$tmp/err" || [ -z "$3" ] || ok=no
    case $log in *"$4"*) ;; *) ok=no ;; esac
    [ -n "$4" ] || [ -z "$log" ] || ok=no
    [ "$ok" = yes ] && echo "ok    $1" && return
    failed=1
    printf 'FAIL  %s: exit status %s (expected %s), messages and log:\n' "$1" "$got" "$2"
    sed 's/^/      /' "$tmp/err" "$tmp/log"
}

cat >"$tmp/add_vulkan" <<END
#!/bin/sh
echo '{"ICD": {"library_path": "/usr/lib/libvulkan_lvp.so"}}' >"$tmp/fake/usr/share/vulkan/icd.d/lvp.json"
touch "$tmp/fake/usr/lib/libvulkan_lvp.so" "$tmp/fake/usr/lib/libvulkan.so.1"
END
chmod +x "$tmp/add_vulkan"
command='apt-get update && apt-get install -y --no-install-recommends mesa-vulkan-drivers libvulkan1'
log_install='install -y --no-install-recommends mesa-vulkan-drivers libvulkan1'

# A driver is there: nothing is run.
new_machine 0; stub_apt 0; "$tmp/add_vulkan"
expect 'driver by path' 0 'nothing to install' ''
new_machine 0; stub_apt 0; manifest /etc/vulkan/icd.d/nvidia.json libGLX_nvidia.so.0
stub ldconfig 'echo "	libGLX_nvidia.so.0 (libc6,x86-64) => /x"; echo "	libvulkan.so.1 (libc6,x86-64) => /y"'
expect 'driver by name, through ldconfig' 0 '(nvidia.json)' ''
new_machine 0; stub_apt 0; manifest /opt/own/here.json ./libown.so; touch "$tmp/fake/opt/own/libown.so"; lib libvulkan.so.1
export VK_DRIVER_FILES=/nowhere.json:/opt/own/here.json
expect 'driver by VK_DRIVER_FILES, relative to its manifest' 0 '(here.json)' ''
export VK_DRIVER_FILES=/nowhere.json
expect 'VK_DRIVER_FILES points nowhere' 1 'unset it' ''
gl
expect 'VK_DRIVER_FILES points nowhere, GL' 0 'GL adapter' ''
unset VK_DRIVER_FILES
new_machine 0 Darwin
expect 'macOS' 0 '' ''

# No driver, Debian.
new_machine 0; stub_apt 0
expect 'root installs' 0 'installing' "$log_install"
new_machine 0; stub_apt 0; manifest /usr/share/vulkan/icd.d/gone.json /usr/lib/libgone.so; lib libvulkan.so.1
expect 'a manifest without its library does not count' 0 'installing' "$log_install"
new_machine 0; stub_apt 0; "$tmp/add_vulkan"; rm "$tmp/fake/usr/lib/libvulkan.so.1"
expect 'only the loader is missing' 0 'installing' 'recommends libvulkan1'
new_machine 1000; stub_apt 0; stub sudo 'echo "sudo $*" >>"$STUB_LOG"; [ "$1" = -n ] && shift; exec "$@"'; stub true :
expect 'a user with sudo installs' 0 'installing' 'sudo env DEBIAN_FRONTEND=noninteractive apt-get'
new_machine 1000; stub_apt 0; stub sudo 'exit 1'
expect 'sudo would ask for a password, no GL' 1 "$command" ''
new_machine 1000; stub_apt 0
expect 'no rights, no GL' 1 "$command" ''
new_machine 1000; stub_apt 0; gl
expect 'no rights, GL' 0 "$command" ''
expect 'no rights, GL: says so' 0 'GL adapter' ''
new_machine 0; stub_apt 100
expect 'apt fails, no GL' 1 "$command" "$log_install"
new_machine 0; stub_apt 100; gl
expect 'apt fails, GL' 0 'GL adapter' "$log_install"

# No driver, elsewhere.
new_machine 0; stub_apt 0; gl
export WGPU_BACKEND=gl
expect 'GL is asked for and there' 0 'nothing to install' ''
new_machine 0; stub_apt 0
expect 'GL is asked for and not there' 0 'installing' "$log_install"
unset WGPU_BACKEND
new_machine 0; stub_apt 0; gl; mkdir "$tmp/fake/dev"; touch "$tmp/fake/dev/nvidiactl"
expect 'NVIDIA card without Vulkan, GL' 0 'nothing installed' ''
new_machine 0; stub dnf 'echo dnf >>"$STUB_LOG"'
expect 'Fedora' 1 'dnf install mesa-vulkan-drivers vulkan-loader' ''
new_machine 0; stub pacman 'echo pacman >>"$STUB_LOG"'
expect 'Arch' 1 'pacman -S vulkan-swrast vulkan-icd-loader' ''
new_machine 0
expect 'no package manager' 1 'libvulkan.so.1' ''

exit $failed
