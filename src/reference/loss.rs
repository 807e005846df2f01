//! Mean cross-entropy of logits, with class indices or with targets for each class.

use super::array::{exceeds, index};
use super::softmax::log_sum_exp;
use super::{Array, Yields};
use crate::graph::{BinaryCrossEntropy, CrossEntropy};

/// A set of labels with its share in the loss.
struct Target<'a> {
    labels: &'a Array,
    share: f64,
    /// The sum of the weights of all labels that count.
    divisor: f64,
}

/// The labels, and the partners where labels are mixed.
fn targets<'a>(op: &CrossEntropy, inputs: &[&'a Array]) -> Yields<Vec<Target<'a>>> {
    let labels = match op.mix(inputs) {
        None => vec![(inputs[1], 1.0)],
        Some([partner, lambda]) => vec![(inputs[1], lambda.data[0]), (partner, 1.0 - lambda.data[0])],
    };
    let divisor = |labels: &Array| labels.data.iter().map(|&label| weight(op, inputs, label)).sum::<Yields<f64>>();
    let target = |(labels, share)| Ok(Target { labels, share, divisor: divisor(labels)? });
    labels.into_iter().map(target).collect()
}

fn ignored(op: &CrossEntropy, label: f64) -> bool {
    op.ignore_index.is_some_and(|ignore| f64::from(ignore) == label)
}

/// The weight of a label: that of its class, 1 without weights, 0 if it is to be left out.
fn weight(op: &CrossEntropy, inputs: &[&Array], label: f64) -> Yields<f64> {
    let classes = inputs[0].shape[1];
    match ignored(op, label) {
        true => Ok(0.0),
        false => index("label", label, classes).map(|y| op.weights(inputs).map_or(1.0, |weights| weights.data[y])),
    }
}

/// `loss [], hits [2]`, and with `fused_grad` also the gradient `[N,C]`; `inputs` as in [`CrossEntropy`].
///
/// Every row counts: the reference knows no short batches.
pub(super) fn cross_entropy(op: &CrossEntropy, inputs: &[&Array]) -> Yields<Vec<Array>> {
    let logits = inputs[0];
    let [_, classes] = logits.extents()?;
    let smoothing = f64::from(op.label_smoothing);
    let class_weight = |c: usize| op.weights(inputs).map_or(1.0, |weights| weights.data[c]);
    let [mut loss, mut right] = [0.0; 2];
    for Target { labels, share, divisor } in targets(op, inputs)? {
        for (row, &label) in logits.data.chunks_exact(classes).zip(&labels.data) {
            if ignored(op, label) {
                continue;
            }
            let label = index("label", label, classes)?;
            let [maximum, total] = log_sum_exp(row.iter().copied());
            let of_class = |c: usize| class_weight(c) * (maximum - row[c] + total);
            let spread = (0..classes).map(of_class).sum::<f64>() / classes as f64;
            loss += share * ((1.0 - smoothing) * of_class(label) + smoothing * spread) / divisor;
            let first_maximum = (1..classes).fold(0, |best, c| if exceeds(row[c], row[best]) { c } else { best });
            right += share * f64::from(u8::from(first_maximum == label));
        }
    }
    let counted = inputs[1].data.iter().filter(|&&label| !ignored(op, label)).count();
    if counted == 0 {
        loss = f64::NAN;
    }
    let mut results = vec![Array::filled(&[], loss), Array { shape: vec![2], data: vec![right, counted as f64] }];
    if let Some(grad) = op.fused_grad {
        results.push(cross_entropy_grad(op, inputs, f64::from(grad))?);
    }
    Ok(results)
}

/// With `p = softmax(logits[n])`, summed over both sets of labels:
/// `dlogits[n,c] = grad share / divisor ((1 - e) w[y] (p[c] - (c == y)) + e / C (p[c] sum_k w[k] - w[c]))`.
pub(super) fn cross_entropy_grad(op: &CrossEntropy, inputs: &[&Array], grad: f64) -> Yields {
    let logits = inputs[0];
    let [_, classes] = logits.extents()?;
    let smoothing = f64::from(op.label_smoothing);
    let class_weight = |c: usize| op.weights(inputs).map_or(1.0, |weights| weights.data[c]);
    let all: f64 = (0..classes).map(class_weight).sum();
    let mut dlogits = Array::zeros(&logits.shape);
    for Target { labels, share, divisor } in targets(op, inputs)? {
        let rows = logits.data.chunks_exact(classes).zip(dlogits.data.chunks_exact_mut(classes));
        for ((row, result), &label) in rows.zip(&labels.data) {
            if ignored(op, label) {
                continue;
            }
            let label = index("label", label, classes)?;
            let [maximum, total] = log_sum_exp(row.iter().copied());
            for (c, result) in result.iter_mut().enumerate() {
                let p = (row[c] - maximum - total).exp();
                let of_label = class_weight(label) * (p - f64::from(u8::from(c == label)));
                let spread = (p * all - class_weight(c)) / classes as f64;
                *result += grad * share * ((1.0 - smoothing) * of_label + smoothing * spread) / divisor;
            }
        }
    }
    Ok(dlogits)
}

/// `loss [], hits [2]`, and with `fused_grad` also the gradient; `inputs` are logits, targets, weights of positives.
pub(super) fn bce(op: &BinaryCrossEntropy, inputs: &[&Array]) -> Yields<Vec<Array>> {
    let [batch, classes] = inputs[0].extents()?;
    let [mut loss, mut right] = [0.0; 2];
    for n in 0..batch {
        let mut all = true;
        for i in n * classes..(n + 1) * classes {
            let (x, t) = (inputs[0].data[i], inputs[1].data[i]);
            let factor = 1.0 + (positive(inputs, i % classes) - 1.0) * t;
            // log(1 + exp(-x)) that does not overflow.
            let softplus = (-x.abs()).exp().ln_1p() + (-x).max(0.0);
            loss += ((1.0 - t) * x + factor * softplus) / (batch * classes) as f64;
            all &= (x > 0.0) == (t > 0.5);
        }
        right += f64::from(u8::from(all));
    }
    let mut results = vec![Array::filled(&[], loss), Array { shape: vec![2], data: vec![right, batch as f64] }];
    if let Some(grad) = op.fused_grad {
        results.push(bce_grad(inputs, f64::from(grad))?);
    }
    Ok(results)
}

/// `dlogits = grad / (N C) ((1 - t) - (1 + (p - 1) t) / (1 + exp(x)))`.
pub(super) fn bce_grad(inputs: &[&Array], grad: f64) -> Yields {
    let [batch, classes] = inputs[0].extents()?;
    let mut dlogits = inputs[0].clone();
    for (i, x) in dlogits.data.iter_mut().enumerate() {
        let t = inputs[1].data[i];
        let factor = 1.0 + (positive(inputs, i % classes) - 1.0) * t;
        *x = grad / (batch * classes) as f64 * ((1.0 - t) - factor / (1.0 + x.exp()));
    }
    Ok(dlogits)
}

fn positive(inputs: &[&Array], class: usize) -> f64 {
    inputs.get(2).map_or(1.0, |weights| weights.data[class])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_logits_by_hand() {
        let logits = Array::zeros(&[2, 4]);
        let labels = Array::new(&[2], vec![0.0, 3.0]).unwrap();
        let op = CrossEntropy { fused_grad: Some(8.0), ..CrossEntropy::default() };
        let results = cross_entropy(&op, &[&logits, &labels]).unwrap();
        assert!((results[0].data[0] - 4_f64.ln()).abs() < 1e-15);
        assert_eq!(results[1].data, [1.0, 2.0], "the first of equal maxima is the prediction");
        let close = |i: usize, expected: f64| (results[2].data[i] - expected).abs() < 1e-15;
        assert!(close(0, -3.0) && close(1, 1.0) && close(7, -3.0), "{:?}", results[2]);
    }

    #[test]
    fn a_label_out_of_range_is_an_error_but_for_the_ignored_one() {
        let labels = Array::new(&[1], vec![4.0]).unwrap();
        let logits = Array::zeros(&[1, 4]);
        assert!(cross_entropy(&CrossEntropy::default(), &[&logits, &labels]).is_err());
        assert!(cross_entropy_grad(&CrossEntropy::default(), &[&logits, &labels], 1.0).is_err());
        let op = CrossEntropy { ignore_index: Some(4), fused_grad: Some(1.0), ..CrossEntropy::default() };
        let results = cross_entropy(&op, &[&logits, &labels]).unwrap();
        assert!(results[0].data[0].is_nan(), "the mean of nothing");
        assert_eq!((&results[1].data[..], &results[2].data[..]), (&[0.0, 0.0][..], &[0.0; 4][..]));
    }

    #[test]
    fn large_logits_do_not_overflow() {
        let [logits, targets] = [[800.0, -800.0], [1.0, 1.0]].map(|data| Array::new(&[1, 2], data.into()).unwrap());
        let results = bce(&BinaryCrossEntropy::default(), &[&logits, &targets]).unwrap();
        assert_eq!(results[0].data, [400.0]);
        assert_eq!(results[1].data, [0.0, 1.0]);
        assert_eq!(bce_grad(&[&logits, &targets], 2.0).unwrap().data, [0.0, -1.0]);
    }
}
