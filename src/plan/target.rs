//! What a plan is made for: the facts of an adapter that decide about kernels and placement.

use super::Choices;
use std::fmt::{self, Display, Formatter};
use std::sync::Arc;

/// The kind of processor behind an adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// A driver that runs shaders on the processor (llvmpipe, SwiftShader, WARP).
    Cpu,
    /// A GPU that shares its memory with the processor.
    Integrated,
    /// A GPU with memory of its own.
    Discrete,
    /// A GPU that says nothing about itself (virtual machines, browsers, some GL drivers).
    Other,
}

impl Class {
    /// The word for it in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Integrated => "integrated",
            Self::Discrete => "discrete",
            Self::Other => "other",
        }
    }

    /// The class of this name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Cpu, Self::Integrated, Self::Discrete, Self::Other].into_iter().find(|class| class.name() == name)
    }
}

/// An algorithm of convolutions, see [`Target::algorithm`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// Matrix products of columns, which hold what each result sums; on CPU drivers with lanes.
    Columns,
    /// Winograd's, with tiles of 2 by 2 or 4 by 4 results.
    Winograd(usize),
}

/// Square matrices that a subgroup multiplies at once and adds to others, those in f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cooperative {
    /// Rows and columns: 8 or 16.
    pub size: usize,
    /// Whether what is multiplied is 16-bit floating point; else it is f32.
    pub half: bool,
    /// The most invocations that a subgroup has: 8, 16, 32 or 64.
    pub lanes: usize,
}

impl Cooperative {
    /// Bytes of workgroup memory that kernels take which multiply such matrices, at most.
    pub const MEMORY: u32 = 32 << 10;
}

impl Display for Cooperative {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        let Self { size, half, lanes } = self;
        write!(f, "{size}x{size} {} in subgroups of {lanes}", if *half { "f16" } else { "f32" })
    }
}

/// An adapter as far as planning sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// The kind of processor.
    pub class: Class,
    /// The largest range that one binding may cover, in bytes.
    pub max_binding: u64,
    /// The largest buffer, in bytes.
    pub max_buffer: u64,
    /// The most workgroups along one axis.
    pub max_workgroups: u32,
    /// Whether dimensions become constants of the shader. GPUs gain by it; where compiling is dear they stay uniforms,
    /// and layers of different sizes share a pipeline.
    pub bake: bool,
    /// The lanes of a subgroup, where they are the same for every kernel and the processor is a CPU: then kernels that
    /// share operands by shuffles run in place of those for any adapter.
    pub lanes: Option<u32>,
    /// Whether such kernels may load eight numbers at once, as integers of 64 bits.
    pub wide: bool,
    /// Whether what a kernel only reads is bound as an image of the same memory: Mesa's driver for processors reads images
    /// several times as fast as buffers.
    pub images: bool,
    /// Whether tensors can be stored as 16-bit floating point, see [`Half`](super::Half).
    pub half: bool,
    /// Matrices that subgroups can multiply, the best first. Those of 16 bits are for programs that store 16 bits, and none
    /// are for CPUs.
    pub cooperative: Vec<Cooperative>,
    /// Whether convolutions are summed as they are defined, product by product. Winograd's algorithms take a third of the
    /// time and round otherwise, see [`crate::gpu::GpuOptions::exact`].
    pub exact: bool,
    /// Whether operands of concatenations are computed in their places, and slices read where they lie, see
    /// [`Plan`](super::Plan); else all are copied, with the same numbers.
    pub views: bool,
    /// Whether functions of elements that follow each other run as one kernel; else each has its own, with the same numbers
    /// in f32.
    pub chains: bool,
    /// The algorithm of convolutions wherever it can run at all, be it worth while or not: for tests. `None` leaves it to
    /// the rule.
    pub algorithm: Option<Algorithm>,
    /// What was measured to be the fastest where rules choose among kernels; empty unless a table was loaded.
    pub choices: Arc<Choices>,
}

impl Target {
    /// The limits that WebGPU promises everywhere, for an adapter of this class.
    pub fn portable(class: Class) -> Self {
        let bake = matches!(class, Class::Integrated | Class::Discrete);
        Self {
            class,
            max_binding: 128 << 20,
            max_buffer: 256 << 20,
            max_workgroups: 65_535,
            bake,
            lanes: None,
            wide: false,
            images: false,
            half: false,
            cooperative: vec![],
            exact: false,
            views: true,
            chains: true,
            algorithm: None,
            choices: Arc::default(),
        }
    }

    /// How many of `rows` rows of `row_bytes` each one binding can cover: all of them, or a number after which the next
    /// range begins aligned. `None` where not even one fits.
    pub(crate) fn rows_per_binding(&self, rows: usize, row_bytes: u64) -> Option<usize> {
        let most = (self.max_binding.min(self.max_buffer) / row_bytes.max(1)) as usize;
        match most {
            0 => None,
            _ if rows <= most => Some(rows),
            1..64 => Some(1 << most.ilog2()),
            _ => Some(most / 64 * 64),
        }
    }

    /// Bytes of a tensor of which operators that sum over samples take care at a time. Less than what any adapter can bind,
    /// so that blocks, and with them the order of additions, are the same everywhere.
    pub(crate) fn block(&self) -> u64 {
        self.max_binding.min(32 << 20)
    }

    /// How many invocations keep the processor busy.
    pub(crate) fn busy(&self) -> u64 {
        match self.class {
            Class::Cpu => 512,
            Class::Integrated | Class::Other => 16_384,
            Class::Discrete => 131_072,
        }
    }
}
