//! The program from outside: what it prints, what it leaves, how it fails.

mod amp;
mod bad_files;
mod bad_usage;
mod commands;
mod datasets;
mod faults;
mod files;
mod foreign;
mod memory;
mod pipelines;
mod program;
mod resume;
mod trained;
mod tuning;
