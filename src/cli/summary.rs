//! `wgrad summary`: what a network is, and what a training step of it does.

use super::{Context, out, reading};
use serde_json::{Value, json};
use wgrad::data::{Dataset, Need};
use wgrad::nn::{Model, Summary, models};
use wgrad::plan::{Class, Target};
use wgrad::train::{RunPlan, Settings};
use wgrad::{Error, Result};

#[derive(clap::Args)]
pub struct Options {
    /// The network, such as lenet5, resnet50 or vgg16; a wrong name lists all
    model: String,
    /// Images at a time [default: 1, and 64 with --plan]
    #[arg(long)]
    batch: Option<usize>,
    /// Classes to tell apart [default: 10, and 1000 with the networks for ImageNet; with --plan those of the data]
    #[arg(long)]
    classes: Option<usize>,
    /// Print the plan of a training step: dispatches with kernel, shapes, FLOPs and bytes, and the memory map
    #[arg(long)]
    plan: bool,
    /// Plan as for `wgrad train --recompute`
    #[arg(long, requires = "plan")]
    recompute: bool,
    /// Plan as for `wgrad train --amp`
    #[arg(long, requires = "plan")]
    amp: bool,
    /// The data set that lies on the device, for --plan
    #[arg(long, default_value = "digits")]
    data: String,
    #[command(flatten)]
    reading: reading::Options,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(context: &Context, options: &Options) -> Result<u8> {
    let open = || reading::open(&options.data, &options.reading, None, Some(&options.model), Need::Names);
    let dataset = options.plan.then(open).transpose()?;
    let classes = options.classes.or(dataset.as_ref().map(|dataset| dataset.classes.len()));
    let model = models::by_name(&options.model, classes)?;
    let input = options.reading.input.unwrap_or(model.default_input());
    let batch = options.batch.unwrap_or(if options.plan { Settings::default().batch_size } else { 1 });
    if batch == 0 || options.classes == Some(0) {
        return Err(Error::usage("--batch and --classes must be at least 1"));
    }
    let summary = model.summary_of_batch(batch, input)?;
    let plan = dataset
        .map(|dataset| {
            let Options { recompute, amp, .. } = *options;
            let settings = Settings { batch_size: batch, recompute, amp, ..Settings::default() };
            training_plan(context, &dataset.fit(input)?, &model, &settings)
        })
        .transpose()?;
    if options.json {
        out::json(&as_json(&summary, plan.as_ref()))?;
        return Ok(0);
    }
    out::print(&summary)?;
    if let Some((plan, target)) = plan {
        out::print(format_args!("\nfor {target}, batches of {batch}, {}", options.data))?;
        out::print(&plan.train)?;
        out::print(format_args!(
            "peak memory of a run: {} bytes, {} of them to evaluate and to read back",
            plan.bytes(),
            plan.bytes() - plan.train.bytes()
        ))?;
    }
    Ok(0)
}

/// The plans of a run, and the adapter that they are for.
fn training_plan(
    context: &Context,
    dataset: &Dataset,
    model: &Model,
    settings: &Settings,
) -> Result<(RunPlan, String)> {
    let (target, name) = match context.gpu() {
        Ok(gpu) => (gpu.target().clone(), gpu.describe()),
        Err(Error::NoAdapter { .. }) if context.adapter.is_none() => {
            (Target::portable(Class::Cpu), "any adapter of class cpu (there is none here)".into())
        }
        Err(error) => return Err(error),
    };
    Ok((RunPlan::new(model, dataset, settings, &target)?, name))
}

fn as_json(summary: &Summary, plan: Option<&(RunPlan, String)>) -> Value {
    let row = |row: &wgrad::nn::SummaryRow| {
        json!({
            "layer": row.layer, "operator": row.operator, "output": row.output, "activations": row.activations,
            "parameters": row.parameters, "macs": row.macs, "bytes": row.bytes,
        })
    };
    let mut value = json!({
        "model": summary.name,
        "parameters": summary.parameters(),
        "macs": summary.macs(),
        "layers": summary.rows.iter().map(row).collect::<Vec<_>>(),
    });
    if let Some((plan, target)) = plan {
        value["plan"] = plan_json(plan, target);
    }
    value
}

fn plan_json(run: &RunPlan, target: &str) -> Value {
    let plan = &run.train;
    let dispatch = |dispatch: &wgrad::plan::Dispatch| {
        let launch = &dispatch.launch;
        json!({
            "kernel": launch.kernel.name, "layer": launch.layer, "shapes": launch.note,
            "workgroups": launch.workgroups, "flops": launch.flops, "bytes": dispatch.bytes,
        })
    };
    let buffers = run.buffers.iter().map(|(role, bytes)| (role.to_string(), json!(bytes)));
    json!({
        "adapter": target,
        "dispatches": plan.dispatches.iter().map(dispatch).collect::<Vec<_>>(),
        "flops": plan.flops(),
        "buffers": buffers.collect::<serde_json::Map<_, _>>(),
        "peak_bytes": run.bytes(),
        "activation_bytes": plan.activations(),
        "activation_lower_bound": plan.lower_bound,
    })
}
