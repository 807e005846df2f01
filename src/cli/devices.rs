//! `wgrad devices`: what there is to run on.

use super::workers::Workers;
use super::{Context, out};
use serde_json::json;
use wgpu::Features;
use wgrad::Result;
use wgrad::gpu::{AdapterSummary, list, tuning_file};
use wgrad::plan::Class;

#[derive(clap::Args)]
pub struct Options {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Features that matter to kernels, by the names that people look for.
const FEATURES: [(&str, Features); 8] = [
    ("f16", Features::SHADER_F16),
    ("f64", Features::SHADER_F64),
    ("int64", Features::SHADER_INT64),
    ("subgroups", Features::SUBGROUP),
    ("cooperative matrix", Features::EXPERIMENTAL_COOPERATIVE_MATRIX),
    ("float atomics", Features::SHADER_FLOAT32_ATOMIC),
    ("timestamps", Features::TIMESTAMP_QUERY),
    ("pipeline cache", Features::PIPELINE_CACHE),
];

pub fn run(context: &Context, options: &Options) -> Result<u8> {
    let adapters = list(context.adapter.as_deref());
    if options.json {
        let entries: Vec<_> =
            adapters.iter().enumerate().map(|(index, adapter)| as_json(context, index, adapter)).collect();
        out::json(&json!(entries))?;
    } else if !adapters.is_empty() {
        let blocks = adapters.iter().enumerate().map(|(index, adapter)| block(context, index, adapter));
        let blocks: Vec<String> = blocks.collect();
        out::print(blocks.join("\n"))?;
    }
    if adapters.iter().any(|adapter| adapter.chosen) {
        return Ok(0);
    }
    // Opening says why there is nothing to open, and what to do about it.
    if let Err(error) = context.gpu() {
        out::note(format_args!("error: {error}"));
    }
    Ok(1)
}

fn block(context: &Context, index: usize, adapter: &AdapterSummary) -> String {
    let AdapterSummary { info, limits, .. } = adapter;
    let mark = if adapter.chosen { '*' } else { ' ' };
    let mut text = format!("{mark} {index}: {} ({}, {})\n", info.name, info.backend.to_str(), adapter.class.name());
    let mut line = |name: &str, value: String| text += &format!("     {name:10} {value}\n");
    line(if adapter.chosen { "used" } else { "not used" }, adapter.reason.clone());
    let driver = [&*info.driver, &*info.driver_info].map(str::trim);
    let driver: Vec<&str> = driver.into_iter().filter(|part| !part.is_empty()).collect();
    line("driver", if driver.is_empty() { "unknown".into() } else { driver.join(", ") });
    let buffers = format!(
        "{} bound at once, {} in one buffer, {} storage buffers in a shader",
        out::bytes(limits.max_storage_buffer_binding_size),
        out::bytes(limits.max_buffer_size),
        limits.max_storage_buffers_per_shader_stage,
    );
    line("memory", buffers);
    line(
        "room",
        adapter
            .room
            .map_or("unknown; runs end where an allocation fails".into(), |room| format!("{room} for all buffers")),
    );
    let subgroups = match (info.subgroup_min_size, info.subgroup_max_size) {
        (low, high) if low == high => format!("{low}"),
        (low, high) => format!("{low} to {high}"),
    };
    let workgroups = format!(
        "{} invocations, {} of shared memory, subgroups of {subgroups}",
        limits.max_compute_invocations_per_workgroup,
        out::bytes(limits.max_compute_workgroup_storage_size.into()),
    );
    line("workgroup", workgroups);
    if !adapter.cooperative.is_empty() {
        line("matrices", matrices(adapter));
    }
    if adapter.images {
        line("reads", "images of the memory of buffers (WGRAD_IMAGES=0: the buffers)".into());
    }
    if Workers::concern(info) {
        line("workers", context.workers.to_string());
    }
    let names = features(adapter);
    let table = tuning_file(info).filter(|path| path.exists());
    line(
        "kernels",
        table.map_or("chosen by rules".into(), |path| format!("chosen by {}, else by rules", path.display())),
    );
    line("features", if names.is_empty() { "none that matter here".into() } else { names.join(", ") });
    text
}

fn features(adapter: &AdapterSummary) -> Vec<&'static str> {
    FEATURES.iter().filter(|(_, feature)| adapter.features.contains(*feature)).map(|(name, _)| *name).collect()
}

/// What matrix products and convolutions on a GPU multiply at once.
fn matrices(adapter: &AdapterSummary) -> String {
    let of = |half: bool| adapter.cooperative.iter().find(|form| form.half == half);
    let forms = [of(true).map(|form| format!("{form}, with --amp")), of(false).map(|form| form.to_string())];
    let forms: Vec<String> = forms.into_iter().flatten().collect();
    let unused = if adapter.class == Class::Cpu { " (not on a CPU)" } else { "" };
    format!("{}{unused}", forms.join("; "))
}

fn as_json(context: &Context, index: usize, adapter: &AdapterSummary) -> serde_json::Value {
    let AdapterSummary { info, limits, .. } = adapter;
    json!({
        "index": index,
        "name": info.name,
        "backend": info.backend.to_str(),
        "class": adapter.class.name(),
        "driver": info.driver,
        "driver_info": info.driver_info,
        "chosen": adapter.chosen,
        "reason": adapter.reason,
        "tuning": tuning_file(info).filter(|path| path.exists()),
        "workers": Workers::concern(info).then(|| context.workers.to_string()),
        "memory_bytes": adapter.room.map(|room| room.bytes),
        "features": features(adapter),
        "images": adapter.images,
        "matrices": (!adapter.cooperative.is_empty()).then(|| matrices(adapter)),
        "limits": {
            "max_binding_bytes": limits.max_storage_buffer_binding_size,
            "max_buffer_bytes": limits.max_buffer_size,
            "storage_buffers": limits.max_storage_buffers_per_shader_stage,
            "workgroup_invocations": limits.max_compute_invocations_per_workgroup,
            "workgroup_bytes": limits.max_compute_workgroup_storage_size,
            "workgroups_per_dimension": limits.max_compute_workgroups_per_dimension,
            "min_subgroup_size": info.subgroup_min_size,
            "max_subgroup_size": info.subgroup_max_size,
        },
    })
}
