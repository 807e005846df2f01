//! `--recipe FILE`: options of `wgrad train` in a TOML file, for the command line to change.

use clap::Command;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;
use wgrad::{Error, Result};

/// The table of a recipe that is for people: which accuracy to expect, and where it was reached.
const EXPECTED: &str = "expected";

/// The arguments of the program with those of `--recipe`, if it is there, put in front of the others of `train`, so that
/// what stands on the command line comes later and wins.
pub fn expand(arguments: Vec<OsString>, program: &Command) -> Result<Vec<OsString>> {
    let Some(train) = arguments.iter().position(|argument| argument == "train") else { return Ok(arguments) };
    let mut path = None;
    for (at, argument) in arguments.iter().enumerate().skip(train) {
        match argument.to_str() {
            Some("--recipe") => path = arguments.get(at + 1).cloned(),
            Some(text) => path = text.strip_prefix("--recipe=").map(OsString::from).or(path),
            None => {}
        }
    }
    let Some(path) = path else { return Ok(arguments) };
    let path = Path::new(&path);
    let text = std::fs::read_to_string(path).map_err(|error| Error::io(path, "read", error))?;
    let options = program.find_subcommand("train").into_iter().flat_map(Command::get_arguments);
    let known: BTreeSet<&str> = options.filter_map(|option| option.get_long()).collect();
    let given = options_of(&text, &known).map_err(|message| Error::format(path, message))?;
    let (before, after) = arguments.split_at(train + 1);
    Ok(before.iter().cloned().chain(given.into_iter().map(OsString::from)).chain(after.iter().cloned()).collect())
}

/// The options of a recipe as arguments.
fn options_of(text: &str, known: &BTreeSet<&str>) -> Result<Vec<String>, String> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| error.to_string())?;
    let mut arguments = vec![];
    for (key, value) in table.iter().filter(|(key, _)| *key != EXPECTED) {
        if !known.contains(key.as_str()) || key == "recipe" {
            return Err(format!("`{key}` is no option of wgrad train (wgrad train --help lists them)"));
        }
        match value {
            toml::Value::Boolean(false) => {}
            toml::Value::Boolean(true) => arguments.push(format!("--{key}")),
            value => arguments.push(format!(
                "--{key}={}",
                plain(value).ok_or_else(|| {
                    format!("`{key}` must be a string, a number, true, false or a list of these, found {value}")
                })?
            )),
        }
    }
    Ok(arguments)
}

/// A value as one writes it on the command line.
fn plain(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Array(values) => {
            values.iter().map(plain).collect::<Option<Vec<String>>>().map(|list| list.join(","))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<String>, String> {
        options_of(text, &BTreeSet::from(["model", "lr", "nesterov", "freeze", "mean", "recipe"]))
    }

    #[test]
    fn values_become_arguments() {
        let text = "model = 'vgg16'\nlr = 0.05\nnesterov = true\nfreeze = ['a', 'b']\nmean = [0.5, 1]\n[expected]\naccuracy = 1";
        let found = read(text).unwrap();
        assert_eq!(found, ["--freeze=a,b", "--lr=0.05", "--mean=0.5,1", "--model=vgg16", "--nesterov"]);
    }

    /// Every recipe that comes with the program is one that it takes, and the command line wins over it.
    #[test]
    fn recipes_are_options() {
        use crate::cli::{Arguments, Command};
        use clap::{CommandFactory, Parser};
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
        let mut recipes = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let line = ["wgrad", "train", "--epochs", "3", "--recipe", path.to_str().unwrap()];
            let arguments = expand(line.map(OsString::from).into(), &Arguments::command()).unwrap();
            let parsed = Arguments::try_parse_from(arguments).unwrap_or_else(|error| panic!("{path:?}: {error}"));
            let Command::Train(options) = parsed.command else { panic!("{path:?}") };
            assert_eq!(options.epochs, Some(3), "{path:?}");
            let model = options.model.as_deref().unwrap();
            wgrad::nn::models::by_name(model, 10).unwrap_or_else(|error| panic!("{path:?}: {error}"));
            recipes += 1;
        }
        assert_eq!(recipes, 7);
    }

    #[test]
    fn what_is_no_option_is_named() {
        for (text, says) in [
            ("lrr = 1", "`lrr` is no option"),
            ("recipe = 'x'", "`recipe` is no option"),
            ("lr = { a = 1 }", "`lr` must be"),
            ("lr = ", "TOML parse error"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
