//! `wgrad selftest`: whether this adapter computes what it should.

use super::{Context, out};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Instant;
use wgrad::selftest::{self, Check};
use wgrad::{Error, Result};

#[derive(clap::Args)]
pub struct Options {
    /// Run only the cases whose name contains this
    #[arg(default_value = "")]
    filter: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(context: &Context, options: &Options) -> Result<u8> {
    let gpu = context.gpu()?;
    let begin = Instant::now();
    let bar = out::bar(0, "{bar:40} {pos}/{len} {msg}");
    let progress = |check: &Check, all: usize| {
        bar.set_length(all as u64);
        bar.set_message(check.name.clone());
        bar.inc(1);
    };
    let checks = pollster::block_on(selftest::run(&gpu, &options.filter, progress))?;
    bar.finish_and_clear();
    if checks.is_empty() {
        let message = format!("no case has {:?} in its name; `wgrad selftest --json` lists all names", options.filter);
        return Err(Error::usage(message));
    }
    let failed = checks.iter().filter(|check| !check.passed()).count();
    match options.json {
        true => out::json(&json!({
            "adapter": gpu.describe(),
            "seconds": begin.elapsed().as_secs_f64(),
            "failed": failed,
            "cases": checks.iter().map(as_json).collect::<Vec<_>>(),
        }))?,
        false => {
            report(&checks)?;
            let (passed, time) = (checks.len() - failed, out::duration(begin.elapsed().as_secs_f64()));
            out::print(format_args!("{}: {passed} of {} cases passed in {time}", gpu.describe(), checks.len()))?;
        }
    }
    Ok(u8::from(failed > 0))
}

/// What is known of one kernel.
#[derive(Default)]
struct Group<'a> {
    cases: u64,
    failed: u64,
    worst: Option<&'a Check>,
}

fn report(checks: &[Check]) -> Result<()> {
    let mut groups: BTreeMap<&str, Group> = BTreeMap::new();
    for check in checks {
        let kernels =
            if check.kernels.is_empty() { vec!["(did not run)"] } else { check.kernels.iter().copied().collect() };
        for kernel in kernels {
            let group = groups.entry(kernel).or_default();
            group.cases += 1;
            group.failed += u64::from(!check.passed());
            if group.worst.is_none_or(|worst| check.worst > worst.worst) {
                group.worst = Some(check);
            }
        }
    }
    let mut table = out::table(&["kernel", ">cases", ">failed", ">largest error", ">of tolerance", "in"]);
    for (kernel, Group { cases, failed, worst }) in groups {
        let Some(worst) = worst else { continue };
        let share = format!("{:.0} %", 100.0 * worst.worst);
        let place = format!("{}, {}", worst.name, worst.tensor);
        table.add_row([
            kernel.into(),
            out::count(cases),
            out::count(failed),
            format!("{:.1e}", worst.error),
            share,
            place,
        ]);
    }
    out::print_table(&table)?;
    for check in checks.iter().filter(|check| !check.passed()) {
        let kernels: Vec<&str> = check.kernels.iter().copied().collect();
        let what = match &check.failure {
            Some(failure) => failure.clone(),
            None => format!(
                "{}: relative error {:.2e}, {:.1} times what is tolerated (kernels {})",
                check.tensor,
                check.error,
                check.worst,
                kernels.join(", ")
            ),
        };
        out::print(format_args!("FAILED {}: {what}", check.name))?;
    }
    Ok(())
}

/// Infinite errors become `null`: JSON has no other word for them.
fn as_json(check: &Check) -> serde_json::Value {
    json!({
        "name": check.name, "passed": check.passed(), "kernels": check.kernels, "error": check.error,
        "of_tolerance": check.worst, "tensor": check.tensor, "failure": check.failure,
    })
}
