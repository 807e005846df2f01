//! A graph as text, one node a line.

use super::*;
use std::fmt;

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for node in &self.nodes {
            let outputs: Vec<String> = node
                .outputs
                .iter()
                .map(|&value| format!("%{} {:?} {:?}", value.0, self.info(value).dtype, self.shape(value)))
                .collect();
            let inputs: Vec<String> = node.inputs.iter().map(|value| format!("%{}", value.0)).collect();
            write!(f, "{} = {}({})", outputs.join(", "), node.op.name(), inputs.join(", "))?;
            if let Some(add) = node.epilogue.add {
                write!(f, " + %{}", add.index())?;
            }
            if let Some(activation) = &node.epilogue.activation {
                write!(f, " + {}", activation.name())?;
            }
            if let Some(mask) = &node.epilogue.mask {
                write!(f, " * {}'(%{})", mask.activation.name(), mask.output.0)?;
            }
            if !node.layer.is_empty() {
                write!(f, "  # {}", node.layer)?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
