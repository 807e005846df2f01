//! Traces in the Trace Event Format, which Perfetto and Chrome show.

use serde_json::{Value, json};
use std::path::Path;
use wgrad::Result;
use wgrad::gpu::Timing;
use wgrad::io::write_atomic;
use wgrad::plan::Plan;

/// Writes the dispatches of `plan` on a time line.
pub fn write(path: &Path, adapter: &str, plan: &Plan, timings: &[Timing]) -> Result<()> {
    let name = |kind: &str, name: &str| json!({"ph": "M", "pid": 1, "tid": 1, "name": kind, "args": {"name": name}});
    let mut events = vec![name("process_name", adapter), name("thread_name", &plan.name)];
    events.extend(plan.dispatches.iter().zip(timings).map(|(dispatch, timing)| {
        let launch = &dispatch.launch;
        let seconds = (timing.duration / 1e9).max(1e-12);
        // Times are in microseconds.
        json!({
            "ph": "X", "pid": 1, "tid": 1, "cat": launch.kernel.name,
            "name": format!("{} {}", launch.kernel.name, launch.layer),
            "ts": timing.start / 1e3, "dur": timing.duration / 1e3,
            "args": {
                "shapes": launch.note, "workgroups": launch.workgroups, "flops": launch.flops, "bytes": dispatch.bytes,
                "GFLOP/s": launch.flops as f64 / seconds / 1e9, "GB/s": dispatch.bytes as f64 / seconds / 1e9,
            },
        })
    }));
    let trace: Value = json!({"displayTimeUnit": "ns", "traceEvents": events});
    write_atomic(path, trace.to_string().as_bytes())
}
