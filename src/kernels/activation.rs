//! Activations as WGSL: written once here, put into the kernels that apply them.

use super::{Dim, Kernel};
use crate::graph::{Epilogue, Unary};

/// `kernel` with what an epilogue asks for: the functions `activate` and `derivative`, of numbers or of vectors, and the
/// constant `MASK`.
pub fn with_epilogue(kernel: Kernel, epilogue: &Epilogue, vector: bool) -> Kernel {
    let kernel = match epilogue.activation {
        Some(activation) => kernel.define("activate", format!("let a = v; return {};", expression(activation, vector))),
        None => kernel,
    };
    with_mask(kernel, epilogue, vector)
}

/// [`with_epilogue`] for kernels that take a long time to compile: whether there is a bias and a ReLU are numbers
/// (`dims.bias`, `dims.relu`), so that layers share a pipeline. Other activations are put into the text.
pub fn with_runtime_epilogue(kernel: Kernel, epilogue: &Epilogue) -> Kernel {
    match epilogue.activation {
        None | Some(Unary::Relu) => {
            let relu = "return select(v, vec4<f32>(0.0), (v < vec4<f32>(0.0)) & vec4<bool>(dims.relu != 0u));";
            with_mask(kernel.define("activate", relu), epilogue, true)
        }
        Some(_) => with_epilogue(kernel, epilogue, true),
    }
}

/// The last two numbers of such a kernel's dimensions.
pub fn runtime_epilogue(epilogue: &Epilogue, bias: bool) -> [Dim; 2] {
    [Dim::U(bias.into()), Dim::U((epilogue.activation == Some(Unary::Relu)).into())]
}

/// The mask alone, for kernels that have no activation of their own.
pub fn with_mask(kernel: Kernel, epilogue: &Epilogue, vector: bool) -> Kernel {
    match &epilogue.mask {
        Some(mask) => {
            let derivative = format!("return {};", derivative(mask.activation, vector));
            kernel.define("MASK", true).define("derivative", derivative)
        }
        None => kernel,
    }
}

/// The derivative of a function at its result `v`.
fn derivative(function: Unary, vector: bool) -> String {
    let float = if vector { "vec4<f32>" } else { "f32" };
    match function {
        Unary::Relu => format!("select({float}(0.0), {float}(1.0), v > {float}(0.0))"),
        Unary::Tanh => "1.0 - v * v".into(),
        Unary::Sigmoid => "v * (1.0 - v)".into(),
        Unary::Scale(scale) => format!("{float}({scale:?})"),
    }
}

/// The function itself, for an operand `a` that may be a vector.
///
/// NaN is recognised by its bits and passed on, so that a diverged run is noticed; tanh is NaN for large arguments on
/// some drivers, so they are clamped to where it is 1 to the last bit.
pub fn expression(function: Unary, vector: bool) -> String {
    let (float, uint) = if vector { ("vec4<f32>", "vec4<u32>") } else { ("f32", "u32") };
    let nan = format!("(bitcast<{uint}>(a) & {uint}(0x7fffffffu)) > {uint}(0x7f800000u)");
    match function {
        Unary::Relu => format!("select(a, {float}(0.0), a < {float}(0.0))"),
        Unary::Tanh => format!("select(tanh(clamp(a, {float}(-15.0), {float}(15.0))), a, {nan})"),
        Unary::Sigmoid => format!("select(1.0 / (1.0 + exp(min(-a, {float}(88.0)))), a, {nan})"),
        Unary::Scale(_) => "a * scale".into(),
    }
}

/// The gradient `a` times the derivative at the function's result `b`.
pub fn backward_expression(function: Unary) -> &'static str {
    match function {
        Unary::Relu => "select(vec4<f32>(0.0), a, b > vec4<f32>(0.0))",
        Unary::Tanh => "a * (1.0 - b * b)",
        Unary::Sigmoid => "a * b * (1.0 - b)",
        Unary::Scale(_) => "a * scale",
    }
}
