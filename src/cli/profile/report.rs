//! What `wgrad profile` says.

use crate::cli::out;
use serde_json::json;
use std::collections::BTreeMap;
use wgrad::Result;
use wgrad::gpu::{Ceilings, Gpu};
use wgrad::plan::{Dispatch, Plan};

/// Time and work of some dispatches.
#[derive(Clone, Copy, Default)]
pub struct Cost {
    pub seconds: f64,
    pub flops: u64,
    pub bytes: u64,
    /// The least seconds that the adapter needs for that, see [`Ceilings`].
    pub least: f64,
}

impl Cost {
    pub fn new(dispatch: &Dispatch, seconds: f64, ceilings: &Ceilings) -> Self {
        let (flops, bytes) = (dispatch.launch.flops, dispatch.bytes);
        Self { seconds, flops, bytes, least: ceilings.least(flops, bytes) }
    }

    fn add(&mut self, other: &Self) {
        self.seconds += other.seconds;
        self.flops += other.flops;
        self.bytes += other.bytes;
        self.least += other.least;
    }
}

/// A table of dispatches, and one of kernels.
pub fn print(plan: &Plan, costs: &[Cost]) -> Result<()> {
    let total: f64 = costs.iter().map(|cost| cost.seconds).sum();
    let mut table = out::table(&["kernel", "layer", "shapes", ">time", ">share", ">GFLOP/s", ">GB/s", ">ceiling"]);
    let mut kernels: BTreeMap<&str, (usize, Cost)> = BTreeMap::new();
    for (dispatch, cost) in plan.dispatches.iter().zip(costs) {
        let launch = &dispatch.launch;
        let mut row = vec![launch.kernel.name.to_string(), launch.layer.clone(), launch.note.clone()];
        row.extend(cells(cost, total));
        table.add_row(row);
        let (count, sum) = kernels.entry(launch.kernel.name).or_default();
        *count += 1;
        sum.add(cost);
    }
    out::print_table(&table)?;
    let mut kernels: Vec<_> = kernels.into_iter().collect();
    kernels.sort_by(|a, b| b.1.1.seconds.total_cmp(&a.1.1.seconds));
    let mut table = out::table(&["kernel", ">dispatches", ">time", ">share", ">GFLOP/s", ">GB/s", ">ceiling"]);
    for (kernel, (count, cost)) in kernels {
        let mut row = vec![kernel.to_string(), count.to_string()];
        row.extend(cells(&cost, total));
        table.add_row(row);
    }
    out::print_table(&table)
}

fn cells(cost: &Cost, total: f64) -> [String; 5] {
    let rate = |amount: u64| match amount {
        0 => "-".to_string(),
        _ => format!("{:.2}", amount as f64 / cost.seconds.max(1e-12) / 1e9),
    };
    let share = format!("{:.1} %", 100.0 * cost.seconds / total.max(1e-12));
    let ceiling = format!("{:.0} %", 100.0 * cost.least / cost.seconds.max(1e-12));
    [format!("{:.1} µs", 1e6 * cost.seconds), share, rate(cost.flops), rate(cost.bytes), ceiling]
}

pub fn as_json(gpu: &Gpu, plan: &Plan, costs: &[Cost], ceilings: &Ceilings) -> serde_json::Value {
    let entry = |(dispatch, cost): (&Dispatch, &Cost)| {
        let launch = &dispatch.launch;
        json!({
            "kernel": launch.kernel.name, "layer": launch.layer, "shapes": launch.note,
            "seconds": cost.seconds, "flops": cost.flops, "bytes": cost.bytes,
            "of_ceiling": cost.least / cost.seconds.max(1e-12),
        })
    };
    let seconds: f64 = costs.iter().map(|cost| cost.seconds).sum();
    let dispatches: Vec<_> = plan.dispatches.iter().zip(costs).map(entry).collect();
    let ceilings = json!({"flops_per_second": ceilings.flops, "bytes_per_second": ceilings.bytes});
    let flops = plan.flops();
    json!({
        "adapter": gpu.describe(), "ceilings": ceilings, "seconds": seconds, "flops": flops, "dispatches": dispatches,
    })
}
