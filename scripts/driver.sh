#!/bin/sh
# Sees to it that wgrad finds an adapter on Linux: a Vulkan driver, or else GL.
#
# A driver counts when a manifest (*.json) names a library that is really there, and the loader,
# libvulkan.so.1, is there too. Then nothing is installed. If not, Debian's CPU driver is installed with apt,
# as root or through sudo; without the rights this says what to install, and goes on with GL where it can.
# macOS and Windows bring Metal and DX12: nothing to do.
#
# Exit status: 0 there is an adapter to run on, 1 there is none. All messages go to stderr.
# Tests replace the probed file system (WGRAD_DRIVER_ROOT) and the commands (PATH): scripts/driver_test.sh.
set -u
root=${WGRAD_DRIVER_ROOT:-}

say() { printf 'driver: %s\n' "$*" >&2; }
have() { command -v "$1" >/dev/null 2>&1; }

# The places the dynamic linker looks in, where ldconfig cannot tell (musl, Nix).
lib_dirs="$root/lib $root/lib64 $root/usr/lib $root/usr/lib64 $root/usr/local/lib $root/usr/lib/*-linux-*"

has_lib() { # a name for the dynamic linker, or an absolute path
    case $1 in /*) [ -e "$root$1" ]; return ;; esac
    "$(command -v ldconfig || echo /sbin/ldconfig)" -p 2>/dev/null | grep -qF "$1 (" && return
    for dir in $(printf %s "${LD_LIBRARY_PATH:-}" | tr : ' ') $lib_dirs; do
        [ -e "$dir/$1" ] && return
    done
    return 1
}

manifests() { # one path a line: the loader's search order, its variables included
    only=${VK_DRIVER_FILES:-${VK_ICD_FILENAMES:-}}
    dirs="${XDG_CONFIG_HOME:-${HOME:-}/.config}:${XDG_CONFIG_DIRS:-/etc/xdg}:/etc"
    dirs="$dirs:${XDG_DATA_HOME:-${HOME:-}/.local/share}:${XDG_DATA_DIRS:-}:/usr/local/share:/usr/share"
    dirs="$dirs:/run/opengl-driver/share" # NixOS
    {
        printf '%s\n' "${VK_ADD_DRIVER_FILES:-}:$only" | tr : '\n'
        [ -n "$only" ] || printf '%s\n' "$dirs" | tr : '\n' | sed '/./s:$:/vulkan/icd.d:'
    } | while read -r path; do
        [ -n "$path" ] || continue
        if [ -d "$root$path" ]; then
            for file in "$root$path"/*.json; do printf '%s\n' "$file"; done
        else
            printf '%s\n' "$root$path"
        fi
    done
}

vulkan_driver() { # the first manifest whose library is there
    manifests | while read -r file; do
        [ -r "$file" ] || continue
        lib=$(tr -d '\n' <"$file" | sed -n 's/.*"library_path"[[:space:]]*:[[:space:]]*"\([^"]*\)".*/\1/p')
        case $lib in
            '') continue ;;
            /*) ;;
            */*) lib=${file%/*}/$lib; lib=${lib#"$root"} ;;
        esac
        has_lib "$lib" && printf '%s\n' "$file" && break
    done
}

has_vulkan() { driver=$(vulkan_driver) && [ -n "$driver" ] && has_lib libvulkan.so.1; }

has_gl() { # EGL, and something behind it
    has_lib libEGL.so.1 || return
    has_lib libEGL_nvidia.so.0 && return
    for dir in $lib_dirs; do
        for file in "$dir"/dri/*_dri.so "$dir"/libgallium-*.so; do [ -e "$file" ] && return; done
    done
    return 1
}

install_command() { # of this machine's package manager; where only the loader is missing, of that alone
    if have apt-get; then
        if [ -n "$driver" ]; then set -- libvulkan1; else set -- mesa-vulkan-drivers libvulkan1; fi
        echo "apt-get install -y --no-install-recommends $*"
    elif have dnf; then echo "dnf install mesa-vulkan-drivers vulkan-loader"
    elif have pacman; then echo "pacman -S vulkan-swrast vulkan-icd-loader"
    elif have zypper; then echo "zypper install libvulkan_lvp libvulkan1"
    elif have apk; then echo "apk add mesa-vulkan-swrast vulkan-loader"
    fi
}

apt() { # apt SUDO WORDS...
    # shellcheck disable=SC2086 # SUDO is empty or several words
    sudo=$1 && shift && $sudo env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 "$@" >&2
}

apt_install() { # apt_install SUDO; a failed update is no reason to give up, the package lists at hand may do
    apt "$1" update || say "apt-get update failed; trying with the package lists at hand"
    # shellcheck disable=SC2086 # words on purpose
    apt "$1" ${install#apt-get }
}

case $(uname -s) in Linux) ;; *) exit 0 ;; esac

if has_vulkan; then
    say "a Vulkan driver is there (${driver##*/}); nothing to install"
    exit 0
fi
if [ "${WGPU_BACKEND:-}" = gl ] && has_gl; then
    say "WGPU_BACKEND=gl, and GL is there; nothing to install"
    exit 0
fi
if [ -e "$root/dev/nvidiactl" ] && [ -z "$driver" ]; then
    say "an NVIDIA card without its Vulkan driver." \
        "Debian: package nvidia-vulkan-icd; a container: NVIDIA_DRIVER_CAPABILITIES=all and libegl1"
    has_gl && say "nothing installed; going on with the GL adapter" && exit 0
fi

install=$(install_command)
if [ -n "${VK_DRIVER_FILES:-${VK_ICD_FILENAMES:-}}" ]; then # the user's choice: no package would change it
    say "no Vulkan driver where VK_DRIVER_FILES or VK_ICD_FILENAMES points; unset it to use the system's"
elif have apt-get; then
    if [ "$(id -u)" = 0 ]; then sudo=
    elif have sudo && sudo -n true 2>/dev/null; then sudo=sudo
    elif have sudo && [ -t 0 ] && [ -t 2 ]; then sudo=sudo # it can ask for the password
    else sudo=none
    fi
    if [ "$sudo" = none ]; then
        say "no Vulkan driver, and no rights to install one. Run as root:  apt-get update && $install"
    else
        say "no Vulkan driver; installing Mesa's:  ${sudo:+sudo }$install"
        apt_install "$sudo" && has_vulkan && say "installed ${driver##*/}" && exit 0
        say "that failed. When packages can be had, run as root:  apt-get update && $install"
    fi
elif [ -n "$install" ]; then
    say "no Vulkan driver. Run as root:  $install"
else
    say "no Vulkan driver. Install Mesa's (its lavapipe needs no GPU) and the loader, libvulkan.so.1"
fi

has_gl && say "going on with the GL adapter, which is slower" && exit 0
exit 1
