//! The command line: one file per subcommand, on the library's public interface.
//!
//! Results go to stdout, progress and messages to stderr. Exit status: 0 success, 2 bad usage or input, 1 failure, 130
//! stopped by a signal.

#![warn(clippy::print_stdout, clippy::print_stderr)]

mod bench;
mod classify;
mod data;
mod devices;
mod eval;
mod out;
mod picture;
mod predict;
mod profile;
mod reading;
mod selftest;
mod sheet;
mod summary;
mod train;
mod tune;
mod weights;
mod workers;

use clap::{CommandFactory, Parser, Subcommand};
use std::process::ExitCode;
use std::time::Instant;
use wgrad::gpu::{Gpu, GpuOptions};
use wgrad::{Error, Result};
use workers::Workers;

/// Train convolutional networks on any GPU.
#[derive(Parser)]
#[command(name = "wgrad", version, arg_required_else_help = true)]
struct Arguments {
    /// Which adapter: an index in `wgrad devices`, a backend, or part of a name
    #[arg(long, global = true, env = "WGRAD_ADAPTER", hide_env_values = true, value_name = "ADAPTER")]
    adapter: Option<String>,
    /// Sum convolutions as they are defined; otherwise Winograd's algorithms compute those with 3x3 filters and stride 1
    /// where they are faster, with errors of the same size (up to 1e-6 at 16 channels, 4e-6 at 512)
    #[arg(long, global = true)]
    exact: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Train a network; without options, LeNet-5 on the embedded digits
    #[command(args_override_self = true)]
    Train(Box<train::Options>),
    /// Measure a trained network on the test images of a data set
    Eval(eval::Options),
    /// Tell what is on pictures
    Predict(predict::Options),
    /// Tell what is in a data set, and show it as a network sees it
    Data(data::Options),
    /// Show a network layer by layer, and with --plan every dispatch and byte of a training step
    Summary(summary::Options),
    /// List adapters, limits and features, and say which one would be used and why
    Devices(devices::Options),
    /// Check every kernel and gradient on this adapter against the f64 reference
    Selftest(selftest::Options),
    /// Time each dispatch of a training step by the adapter's clock
    Profile(profile::Options),
    /// Measure whole training steps
    Bench(bench::Options),
    /// Find out which kernels are the fastest on this adapter, and keep the answers for later runs
    Tune(tune::Options),
}

/// What all commands share.
struct Context {
    started: Instant,
    adapter: Option<String>,
    exact: bool,
    workers: Workers,
}

impl Context {
    /// Opens the adapter that was asked for, or the best one.
    fn gpu(&self) -> Result<Gpu> {
        Gpu::open(&GpuOptions { adapter: self.adapter.clone(), exact: self.exact, ..GpuOptions::default() })
    }
}

/// Runs the program that was started at `started`.
pub fn main(started: Instant) -> ExitCode {
    let arguments = match train::recipe::expand(std::env::args_os().collect(), &Arguments::command()) {
        Ok(arguments) => arguments,
        Err(error) => return failed(&error),
    };
    let Arguments { adapter, exact, command } = Arguments::parse_from(arguments);
    let workers = Workers::of(&command);
    // SAFETY: reading arguments and summing up networks starts no thread, and drivers are loaded by the commands below.
    unsafe { workers.set() };
    let context = Context { started, adapter: adapter.filter(|adapter| !adapter.is_empty()), exact, workers };
    let done = match command {
        Command::Train(options) => train::run(&context, &options),
        Command::Eval(options) => eval::run(&context, &options),
        Command::Predict(options) => predict::run(&context, &options),
        Command::Data(options) => data::run(&context, &options),
        Command::Summary(options) => summary::run(&context, &options),
        Command::Devices(options) => devices::run(&context, &options),
        Command::Selftest(options) => selftest::run(&context, &options),
        Command::Profile(options) => profile::run(&context, &options),
        Command::Bench(options) => bench::run(&context, &options),
        Command::Tune(options) => tune::run(&context, &options),
    };
    match done {
        Ok(status) => ExitCode::from(status),
        // Whoever reads (`| head`) has seen enough.
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn failed(error: &Error) -> ExitCode {
    out::note(format_args!("error: {error}"));
    ExitCode::from(error.exit_status())
}
