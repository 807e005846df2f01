//! Sizes of sliding windows, shared by convolution and pooling.

/// The number of positions of a window along one axis (PyTorch's `Conv2d` and `MaxPool2d`):
/// `floor((input + 2 padding - dilation (kernel - 1) - 1) / stride) + 1`, or with `ceil_mode` the ceiling, less a last
/// window that would begin behind the input and its leading padding. `None` if the window does not fit once.
pub fn output_size(
    input: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
    dilation: usize,
    ceil_mode: bool,
) -> Option<usize> {
    let reach = dilation.checked_mul(kernel.checked_sub(1)?)?.checked_add(1)?;
    let padded = padding.checked_mul(2)?.checked_add(input)?;
    // With ceil_mode one window that is partly outside still counts.
    let most = if ceil_mode { padded.checked_add(stride - 1)? } else { padded };
    let mut count = most.checked_sub(reach)? / stride + 1;
    if ceil_mode && (count - 1) * stride >= input + padding {
        count -= 1;
    }
    if count == 0 {
        return None;
    }
    Some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floor_and_ceil() {
        assert_eq!(output_size(28, 5, 1, 2, 1, false), Some(28));
        assert_eq!(output_size(227, 11, 4, 0, 1, false), Some(55));
        assert_eq!(output_size(5, 2, 2, 0, 1, false), Some(2));
        assert_eq!(output_size(5, 2, 2, 0, 1, true), Some(3));
        // PyTorch: with padding 1 the fourth window would begin in the padding behind the input.
        assert_eq!(output_size(5, 2, 2, 1, 1, true), Some(3));
        assert_eq!(output_size(7, 3, 1, 0, 3, false), Some(1));
        assert_eq!(output_size(2, 3, 1, 0, 1, false), None);
        assert_eq!(output_size(2, 3, 2, 0, 1, true), Some(1));
        assert_eq!(output_size(2, usize::MAX, 1, 0, 2, false), None);
        assert_eq!(output_size(2, 3, 1, usize::MAX, 1, false), None);
    }
}
