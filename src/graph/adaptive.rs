//! Pooling to a given size (PyTorch's `AdaptiveAvgPool2d` and `AdaptiveMaxPool2d`).
//!
//! Bin `i` of `OH` covers rows `floor(i H / OH)` to `ceil((i + 1) H / OH) - 1`; bins overlap where `OH` does not divide
//! `H`, and repeat rows where it is larger. Columns likewise. Where bins are windows side by side they become a
//! [`Pool2d`], and where there is nothing to pool, nothing.

use super::op::Inferred;
use super::*;

/// Maximum or average over bins.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AdaptivePool2d {
    /// Average instead of maximum.
    pub average: bool,
    /// Rows and columns of the result.
    pub output: [usize; 2],
}

/// The gradient of an adaptive pooling: `(dy, argmax) -> dx` for the maximum, `(dy) -> dx` for the average.
#[derive(Clone, Debug, PartialEq)]
pub struct AdaptivePool2dBackward {
    /// Average instead of maximum.
    pub average: bool,
    /// The shape of the pooling's input.
    pub input: Shape,
}

/// The most positions that the kernels visit for one result: some drivers stop loops at 65,535.
const MOST: usize = 32_768;

/// The most positions of a bin that becomes a window of [`Pool2d`], whose kernels unroll it.
const WINDOW: usize = 64;

/// The positions of bin `index` of `bins` along an axis of `extent`: first, and behind the last.
pub(crate) fn bin(index: usize, bins: usize, extent: usize) -> [usize; 2] {
    [index * extent / bins, ((index + 1) * extent).div_ceil(bins)]
}

/// The most positions of a bin along one axis.
pub(crate) fn longest_bin(bins: usize, extent: usize) -> usize {
    // A bin that begins inside of a position and ends inside of another touches both.
    if extent.is_multiple_of(bins) { extent / bins } else { (extent / bins + 2).min(extent) }
}

fn extents(name: &str, x: &[usize]) -> Result<[usize; 4], String> {
    x.try_into().map_err(|_| format!("{name} wants x [N,C,H,W], got {x:?}"))
}

impl AdaptivePool2d {
    pub(super) fn name(&self) -> &'static str {
        if self.average { "adaptive_avg_pool2d" } else { "adaptive_max_pool2d" }
    }

    /// The shape of the result.
    pub fn output_shape(&self, x: &[usize]) -> Result<Shape, String> {
        let name = self.name();
        let [n, c, h, w] = extents(name, x)?;
        let [oh, ow] = self.output;
        if oh == 0 || ow == 0 {
            return Err(format!("{name} wants an output of at least 1x1, got {oh}x{ow}"));
        }
        if [h, w, oh, ow].iter().any(|&extent| extent > 65_535) {
            return Err(format!("{name}: {h}x{w} to {oh}x{ow} has an axis of more than 65535 positions"));
        }
        let bins = [longest_bin(oh, h), longest_bin(ow, w)];
        // An average goes along one axis at a time.
        let positions = if self.average { bins[0].max(bins[1]) } else { bins[0] * bins[1] };
        let covering = longest_bin(h, oh) * longest_bin(w, ow);
        if positions > MOST || covering > MOST {
            return Err(format!("{name}: {h}x{w} to {oh}x{ow} is a change by more than {MOST}; pool in two steps"));
        }
        Ok(vec![n, c, oh, ow])
    }

    pub(super) fn infer(&self, inputs: &[&ValueInfo]) -> Inferred {
        let shape = self.output_shape(&inputs[0].shape)?;
        let mut yields = vec![(shape.clone(), DType::F32)];
        if !self.average {
            yields.push((shape, DType::U32));
        }
        Ok(yields)
    }

    pub(super) fn gradient(&self, graph: &mut Graph, node: &Node, grad: Value) -> Result<Vec<Option<Value>>> {
        let op = AdaptivePool2dBackward { average: self.average, input: graph.shape(node.inputs[0]).into() };
        let inputs: Vec<Value> = [grad].into_iter().chain(node.outputs.get(1).copied()).collect();
        Ok(vec![Some(graph.add_one(Op::AdaptivePool2dBackward(op), &inputs)?)])
    }
}

impl AdaptivePool2dBackward {
    pub(super) fn name(&self) -> &'static str {
        if self.average { "adaptive_avg_pool2d_backward" } else { "adaptive_max_pool2d_backward" }
    }

    pub(super) fn infer(&self, inputs: &[&ValueInfo]) -> Inferred {
        let [n, c, ..] = extents(self.name(), &self.input)?;
        let dy = &inputs[0].shape;
        if dy.len() != 4 || dy[..2] != [n, c] {
            return Err(format!("{}: dy has shape {dy:?}, expected [{n}, {c}, OH, OW]", self.name()));
        }
        if let Some(argmax) = inputs.get(1)
            && (argmax.shape != *dy || argmax.dtype != DType::U32)
        {
            let (name, dtype) = (self.name(), argmax.dtype);
            return Err(format!("{name}: argmax is {dtype:?} {:?}, expected U32 {dy:?}", argmax.shape));
        }
        Ok(vec![(self.input.clone(), DType::F32)])
    }
}

impl Graph {
    /// Average over bins of `x [N,C,H,W]`: `[N,C,OH,OW]` for any `output` `[OH,OW]`.
    pub fn adaptive_avg_pool2d(&mut self, x: Value, output: [usize; 2]) -> Result<Value> {
        self.adaptive_pool2d(x, AdaptivePool2d { average: true, output })
    }

    /// Maximum over bins of `x [N,C,H,W]`: `[N,C,OH,OW]` for any `output` `[OH,OW]`.
    pub fn adaptive_max_pool2d(&mut self, x: Value, output: [usize; 2]) -> Result<Value> {
        self.adaptive_pool2d(x, AdaptivePool2d { average: false, output })
    }

    /// Average over all of each plane of `x [N,C,H,W]`: `[N,C,1,1]`.
    pub fn global_avg_pool2d(&mut self, x: Value) -> Result<Value> {
        self.adaptive_avg_pool2d(x, [1, 1])
    }

    fn adaptive_pool2d(&mut self, x: Value, pool: AdaptivePool2d) -> Result<Value> {
        let [oh, ow] = pool.output;
        match *self.shape(x) {
            [_, _, h, w] if [h, w] == [oh, ow] => Ok(x),
            [_, _, h, w] if oh * ow > 0 && h.is_multiple_of(oh) && w.is_multiple_of(ow) => {
                let kernel = [h / oh, w / ow];
                match pool.average {
                    true => self.pool2d(x, Pool2d::average(kernel)),
                    false if kernel[0] * kernel[1] <= WINDOW => self.pool2d(x, Pool2d::max(kernel)),
                    false => self.add_one(Op::AdaptivePool2d(pool), &[x]),
                }
            }
            _ => self.add_one(Op::AdaptivePool2d(pool), &[x]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_are_those_of_pytorch() {
        let bins = |count, extent| (0..count).map(|i| bin(i, count, extent)).collect::<Vec<_>>();
        assert_eq!(bins(3, 7), [[0, 3], [2, 5], [4, 7]]);
        assert_eq!(bins(5, 3), [[0, 1], [0, 2], [1, 2], [1, 3], [2, 3]]);
        for (count, extent) in [(1, 1), (3, 7), (5, 3), (4, 8), (7, 224), (6, 13), (13, 6)] {
            let longest = bins(count, extent).iter().map(|[first, last]| last - first).max().unwrap();
            assert!(longest <= longest_bin(count, extent), "{count} bins of {extent}");
        }
    }

    #[test]
    fn the_cheapest_form_is_chosen() {
        let mut g = Graph::new();
        let x = g.input("x", &[2, 3, 14, 21], DType::F32).unwrap();
        assert_eq!(g.adaptive_avg_pool2d(x, [14, 21]).unwrap(), x);
        let y = g.adaptive_avg_pool2d(x, [7, 7]).unwrap();
        assert_eq!(g.producer(y).op, Op::Pool2d(Pool2d::average([2, 3])));
        let y = g.global_avg_pool2d(x).unwrap();
        assert_eq!((g.producer(y).op.name(), g.shape(y)), ("avg_pool2d", &[2, 3, 1, 1][..]));
        let y = g.adaptive_max_pool2d(x, [1, 1]).unwrap();
        assert_eq!(g.producer(y).op.name(), "adaptive_max_pool2d");
        let y = g.adaptive_max_pool2d(x, [5, 30]).unwrap();
        assert_eq!((g.producer(y).op.name(), g.shape(y)), ("adaptive_max_pool2d", &[2, 3, 5, 30][..]));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let mut g = Graph::new();
        let x = g.input("x", &[1, 1, 300, 300], DType::F32).unwrap();
        let error = g.adaptive_max_pool2d(x, [1, 1]).unwrap_err().to_string();
        assert!(error.contains("300x300 to 1x1"), "{error}");
        assert!(g.adaptive_avg_pool2d(x, [0, 3]).unwrap_err().to_string().contains("at least 1x1"));
        let flat = g.input("flat", &[3, 4], DType::F32).unwrap();
        assert!(g.global_avg_pool2d(flat).unwrap_err().to_string().contains("[N,C,H,W]"));
        assert!(g.adaptive_avg_pool2d(x, [7, 70_000]).is_err());
    }
}
