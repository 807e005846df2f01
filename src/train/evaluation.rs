//! A pass over the test samples, and what its batches add up to.

/// A pass over the test samples.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// Mean over all samples.
    pub loss: f64,
    /// Share of samples that were right.
    pub accuracy: f64,
    /// How often each true class (row) was taken for each class (column).
    pub confusion: Vec<Vec<u64>>,
}

/// What batches of an evaluation add up to.
#[derive(Default)]
pub(super) struct Tally {
    loss: f64,
    right: f64,
    samples: f64,
    confusion: Vec<Vec<u64>>,
}

impl Tally {
    pub fn new(classes: usize) -> Self {
        Self { confusion: vec![vec![0; classes]; classes], ..Self::default() }
    }

    pub fn add(&mut self, record: &[f32], logits: &[f32], labels: &[u32]) {
        let [loss, right, samples] = [record[0], record[1], record[2]].map(f64::from);
        self.loss += loss * samples;
        self.right += right;
        self.samples += samples;
        for (logits, &label) in logits.chunks_exact(self.confusion.len()).zip(labels) {
            self.confusion[label as usize][first_maximum(logits)] += 1;
        }
    }

    pub fn result(self) -> Evaluation {
        let (loss, accuracy) = (self.loss / self.samples, self.right / self.samples);
        Evaluation { loss, accuracy, confusion: self.confusion }
    }
}

/// The index of the first maximum.
pub(crate) fn first_maximum(numbers: &[f32]) -> usize {
    let better = |best, index: usize| if numbers[index] > numbers[best] { index } else { best };
    (1..numbers.len()).fold(0, better)
}
