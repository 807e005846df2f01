//! Tables of choices as files, one for each adapter.
//!
//! `wgrad tune` writes `tuning/ADAPTER.json` in wgrad's folder of the user's configuration; every device of that adapter
//! that is opened later plans by it. `WGRAD_TUNING` names another file, or switches tables off with `0`. A guest on a host
//! application's device never reads one.

use super::environment;
use crate::plan::Choices;
use crate::{Error, Result};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// The file that holds the choices for an adapter, whether it exists or not; `None` where tables are switched off or the
/// user has no home.
pub fn tuning_file(info: &wgpu::AdapterInfo) -> Option<PathBuf> {
    match environment("WGRAD_TUNING") {
        Some(off) if off == "0" => None,
        Some(path) => Some(path.into()),
        None => Some(configuration()?.join("wgrad").join("tuning").join(format!("{}.json", name(info)))),
    }
}

/// The user's folder of configuration: the desktop standard's, Windows', or below the home.
pub(super) fn configuration() -> Option<PathBuf> {
    let folder = |variable| environment(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    folder("XDG_CONFIG_HOME").or_else(|| folder("APPDATA")).or_else(|| folder("HOME").map(|home| home.join(".config")))
}

/// A file's name for an adapter.
pub(super) fn name(info: &wgpu::AdapterInfo) -> String {
    let text = format!("{} {}", info.name, info.backend.to_str()).to_lowercase();
    let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-")
}

/// What a table was measured on: other drivers, and kernels of another version, have other answers.
fn measured_on(info: &wgpu::AdapterInfo) -> Value {
    json!({
        "adapter": info.name,
        "backend": info.backend.to_str(),
        "driver": format!("{} {}", info.driver, info.driver_info).trim(),
        "wgrad": env!("CARGO_PKG_VERSION"),
    })
}

/// The choices of the file for this adapter; none where there is no file, or where it was measured on another driver or by
/// another version. A file that is no table is an error.
pub(super) fn load(info: &wgpu::AdapterInfo) -> Result<Choices> {
    let Some(path) = tuning_file(info).filter(|path| path.exists()) else { return Ok(Choices::default()) };
    read(&path, info)
}

fn read(path: &Path, info: &wgpu::AdapterInfo) -> Result<Choices> {
    let text = std::fs::read_to_string(path).map_err(|error| Error::io(path, "read", error))?;
    let wrong = |what: String| Error::format(path, format!("{what}; delete it, and make it again with wgrad tune"));
    let table: Value =
        serde_json::from_str(&text).map_err(|error| wrong(format!("not a table of choices: {error}")))?;
    let mut choices = Choices::default();
    if table.get("measured_on") != Some(&measured_on(info)) {
        return Ok(choices);
    }
    let answers = table.get("choices").and_then(Value::as_object);
    for (question, answer) in answers.ok_or_else(|| wrong("it has no \"choices\"".into()))? {
        let answer = answer.as_str().ok_or_else(|| wrong(format!("the choice for {question} is no text")))?;
        choices.insert(question, answer);
    }
    Ok(choices)
}

/// Writes `choices`, which were measured on this adapter.
///
/// # Errors
///
/// [`Error::Io`]; a table that was there stays as it was.
pub fn save_tuning(path: &Path, info: &wgpu::AdapterInfo, choices: &Choices) -> Result<()> {
    let answers: Map<String, Value> =
        choices.iter().map(|(question, answer)| (question.into(), answer.into())).collect();
    let table = json!({"measured_on": measured_on(info), "choices": answers});
    crate::io::write_atomic(path, format!("{table:#}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(driver: &str) -> wgpu::AdapterInfo {
        let mut info = wgpu::AdapterInfo::new(wgpu::DeviceType::Cpu, wgpu::Backend::Vulkan);
        (info.name, info.driver) = ("llvmpipe (LLVM 15.0.6, 256 bits)".into(), driver.into());
        info
    }

    #[test]
    fn a_table_comes_back_on_its_own_driver_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep").join("table.json");
        let mut choices = Choices::default();
        choices.insert("matmul nt 64x120x400", "registers");
        save_tuning(&path, &info("Mesa 22"), &choices).unwrap();
        assert_eq!(read(&path, &info("Mesa 22")).unwrap(), choices);
        assert!(read(&path, &info("Mesa 25")).unwrap().is_empty());
        assert_eq!(name(&info("")), "llvmpipe-llvm-15-0-6-256-bits-vulkan");
    }

    #[test]
    fn what_is_no_table_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.json");
        let table = |choices: Value| json!({"measured_on": measured_on(&info("a")), "choices": choices}).to_string();
        for text in ["", "{", "\u{0}", &table(json!([1])), &table(json!({"matmul": 3}))] {
            std::fs::write(&path, text).unwrap();
            let error = read(&path, &info("a")).unwrap_err().to_string();
            assert!(error.contains("table.json") && error.contains("wgrad tune"), "{error}");
        }
    }
}
