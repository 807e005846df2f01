//! A network layer by layer.

use super::Network;
use crate::Result;
use crate::graph::{Op, Shape, Value};
use crate::plan::{Program, fuse};
use std::fmt;

/// What a network consists of and costs, auxiliary classifiers included.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// The model's name.
    pub name: String,
    /// The input, then each layer with its activation.
    pub rows: Vec<SummaryRow>,
}

/// One layer.
#[derive(Clone, Debug, PartialEq)]
pub struct SummaryRow {
    /// Its path.
    pub layer: String,
    /// Its operators.
    pub operator: String,
    /// The shape of its result.
    pub output: Shape,
    /// The numbers in its result, of one sample.
    pub activations: u64,
    /// The numbers that are trained.
    pub parameters: u64,
    /// Multiplications with a following addition.
    pub macs: u64,
    /// Bytes of its result.
    pub bytes: u64,
}

impl Summary {
    pub(super) fn new(name: &str, network: &Network) -> Result<Self> {
        let heads = network.graph.auxiliary().iter().map(|&(logits, _)| logits);
        let outputs: Vec<Value> = heads.chain([network.logits]).collect();
        let program = fuse(&Program::new(name, network.graph.clone(), &outputs))?;
        let graph = &program.graph;
        let mut rows = Vec::new();
        for node in graph.nodes() {
            let layer = match node.op {
                Op::Parameter(_) | Op::Buffer(_) | Op::Reshape(_) | Op::Constant { .. } => continue,
                Op::Input => "input",
                _ => &node.layer,
            };
            let output: Shape = graph.shape(node.outputs[0]).into();
            let numbers = graph.info(node.outputs[0]).elements() as u64;
            let parameter = |&&input: &&_| matches!(graph.producer(input).op, Op::Parameter(_));
            let macs = match &node.op {
                Op::Conv2d(_) => numbers * graph.shape(node.inputs[1])[1..].iter().product::<usize>() as u64,
                Op::MatMul(matmul) => numbers * matmul.depth(graph, node) as u64,
                _ => 0,
            };
            let activation =
                node.epilogue.activation.map_or(String::new(), |unary| format!(" + {}", Op::Unary(unary).name()));
            rows.push(SummaryRow {
                layer: layer.into(),
                operator: format!("{}{activation}", node.op.name()),
                activations: numbers / output[0] as u64,
                parameters: node
                    .inputs
                    .iter()
                    .filter(parameter)
                    .map(|&input| graph.info(input).elements() as u64)
                    .sum(),
                macs,
                bytes: 4 * numbers,
                output,
            });
        }
        Ok(Self { name: name.into(), rows })
    }

    /// All trained numbers.
    pub fn parameters(&self) -> u64 {
        self.rows.iter().map(|row| row.parameters).sum()
    }

    /// All multiplications of a forward pass.
    pub fn macs(&self) -> u64 {
        self.rows.iter().map(|row| row.macs).sum()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.name)?;
        let titles = ["layer", "operator", "output", "activations", "parameters", "MACs", "bytes"];
        let cells = |row: &SummaryRow| {
            let numbers = [row.activations, row.parameters, row.macs, row.bytes].map(|number| number.to_string());
            let [activations, parameters, macs, bytes] = numbers;
            [row.layer.clone(), row.operator.clone(), format!("{:?}", row.output), activations, parameters, macs, bytes]
        };
        let mut table = vec![titles.map(str::to_string)];
        table.extend(self.rows.iter().map(cells));
        let width = |column: usize| table.iter().map(|row| row[column].len()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..titles.len()).map(width).collect();
        for row in &table {
            let [layer, operator, output, numbers @ ..] = row;
            write!(f, "{layer:0$}  {operator:1$}  {output:2$}", widths[0], widths[1], widths[2])?;
            for (number, width) in numbers.iter().zip(&widths[3..]) {
                write!(f, "  {number:>width$}")?;
            }
            writeln!(f)?;
        }
        write!(f, "{} parameters, {} MACs per forward pass", self.parameters(), self.macs())
    }
}
