//! The `wgrad` program; see `wgrad help`.

mod cli;

fn main() -> std::process::ExitCode {
    let started = std::time::Instant::now();
    quieten_drivers();
    cli::main(started)
}

/// Mesa's device-select layer asks a Wayland compositor which GPU is its own, and libwayland complains on stderr where
/// there can be none. Turns the layer off in that case, unless it has orders.
fn quieten_drivers() {
    let is_set = |name: &str| std::env::var_os(name).is_some();
    let wanted = ["XDG_RUNTIME_DIR", "WAYLAND_DISPLAY", "DISPLAY", "DRI_PRIME", "MESA_VK_DEVICE_SELECT"];
    if cfg!(target_os = "linux") && !wanted.into_iter().any(is_set) {
        // SAFETY: this is the only thread.
        unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
    }
}
