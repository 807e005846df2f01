//! Mean cross-entropy of logits and class indices.

use super::array::{exceeds, index};
use super::softmax::log_sum_exp;
use super::{Array, Yields};
use crate::graph::CrossEntropy;

/// `logits [N,C], labels [N] -> loss [], correct []`, and with `fused_grad` also the gradient `[N,C]`.
///
/// `loss = mean over n of (log sum_c exp(logits[n,c]) - logits[n,label[n]])`; a row is correct if its first maximum
/// is at the label. Every row counts: the reference knows no short batches.
pub(super) fn cross_entropy(op: &CrossEntropy, logits: &Array, labels: &Array) -> Yields<Vec<Array>> {
    let [batch, classes] = logits.extents()?;
    let [mut loss, mut correct] = [0.0; 2];
    for (row, &label) in logits.data.chunks_exact(classes).zip(&labels.data) {
        let label = index("label", label, classes)?;
        let [maximum, total] = log_sum_exp(row.iter().copied());
        loss += (maximum - row[label] + total) / batch as f64;
        let first_maximum = (1..classes).fold(0, |best, c| if exceeds(row[c], row[best]) { c } else { best });
        correct += f64::from(u8::from(first_maximum == label));
    }
    let mut results = vec![Array::filled(&[], loss), Array::filled(&[], correct)];
    if let Some(grad) = op.fused_grad {
        results.push(cross_entropy_grad(logits, labels, f64::from(grad))?);
    }
    Ok(results)
}

/// `dlogits[n,c] = grad (softmax(logits[n])[c] - (1 if c is label[n], else 0)) / N`.
pub(super) fn cross_entropy_grad(logits: &Array, labels: &Array, grad: f64) -> Yields {
    let [batch, classes] = logits.extents()?;
    let mut dlogits = logits.clone();
    for (row, &label) in dlogits.data.chunks_exact_mut(classes).zip(&labels.data) {
        let label = index("label", label, classes)?;
        let [maximum, total] = log_sum_exp(row.iter().copied());
        for (c, x) in row.iter_mut().enumerate() {
            let onehot = f64::from(u8::from(c == label));
            *x = grad * ((*x - maximum - total).exp() - onehot) / batch as f64;
        }
    }
    Ok(dlogits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_logits_by_hand() {
        let logits = Array::zeros(&[2, 4]);
        let labels = Array::new(&[2], vec![0.0, 3.0]).unwrap();
        let results = cross_entropy(&CrossEntropy { fused_grad: Some(8.0) }, &logits, &labels).unwrap();
        assert!((results[0].data[0] - 4_f64.ln()).abs() < 1e-15);
        assert_eq!(results[1].data, [1.0], "the first of equal maxima is the prediction");
        let close = |i: usize, expected: f64| (results[2].data[i] - expected).abs() < 1e-15;
        assert!(close(0, -3.0) && close(1, 1.0) && close(7, -3.0), "{:?}", results[2]);
    }

    #[test]
    fn a_label_out_of_range_is_an_error() {
        let labels = Array::new(&[1], vec![4.0]).unwrap();
        assert!(cross_entropy(&CrossEntropy::default(), &Array::zeros(&[1, 4]), &labels).is_err());
        assert!(cross_entropy_grad(&Array::zeros(&[1, 4]), &labels, 1.0).is_err());
    }
}
