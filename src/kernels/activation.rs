//! Activations as WGSL: written once here, put into the kernels that apply them.

use super::Kernel;
use crate::graph::{Epilogue, Unary};

/// `kernel` with what an epilogue asks for: the functions `activate` and `derivative`, and the constant `MASK`.
pub fn with_epilogue(kernel: Kernel, epilogue: &Epilogue) -> Kernel {
    let kernel = match epilogue.activation {
        Some(activation) => kernel.define("activate", format!("let a = v; return {};", expression(activation, false))),
        None => kernel,
    };
    with_mask(kernel, epilogue)
}

/// The mask alone, for kernels that have no activation of their own.
pub fn with_mask(kernel: Kernel, epilogue: &Epilogue) -> Kernel {
    match &epilogue.mask {
        Some(mask) => {
            kernel.define("MASK", true).define("derivative", format!("return {};", derivative(mask.activation)))
        }
        None => kernel,
    }
}

/// The derivative of a function at its result `v`.
fn derivative(function: Unary) -> String {
    match function {
        Unary::Relu => "select(0.0, 1.0, v > 0.0)".into(),
        Unary::Tanh => "1.0 - v * v".into(),
        Unary::Sigmoid => "v * (1.0 - v)".into(),
        Unary::Scale(scale) => format!("{scale:?}"),
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
