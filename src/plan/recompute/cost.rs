//! What it costs to give tensors up: the program is walked as it would then run, and the bytes alive are counted.

use super::{Candidate, Entry, Steps};
use crate::plan::blocks::{self, Step};
use crate::plan::masks;

/// The peak of bytes, then the work of computing again.
pub(super) type Cost = (u64, u64);

impl Steps<'_> {
    /// All nodes in the order in which they run, those that run again before the first that reads their results.
    pub(super) fn schedule(&self, given_up: &[bool]) -> Vec<Entry> {
        let mut entries: Vec<Entry> = (0..self.forward).map(|node| Entry { node, again: false }).collect();
        let mut done = vec![false; self.nodes.len()];
        for node in self.forward..self.nodes.len() {
            self.ask(node, given_up, &mut done, &mut entries);
            entries.push(Entry { node, again: false });
        }
        entries
    }

    /// Appends what `node` reads and what was given up, in the order of the forward pass.
    fn ask(&self, node: usize, given_up: &[bool], done: &mut [bool], entries: &mut Vec<Entry>) {
        let mut missing = vec![];
        let mut stack = vec![node];
        while let Some(node) = stack.pop() {
            for &value in &self.reads[node] {
                let producer = self.producer[value];
                if given_up[self.roots[value]] && !done[producer] {
                    done[producer] = true;
                    missing.push(producer);
                    stack.push(producer);
                }
            }
        }
        missing.sort_unstable();
        entries.extend(missing.into_iter().map(|node| Entry { node, again: true }));
    }

    /// Whether `value` as `entry` sees it is a second one.
    fn is_second(&self, entry: Entry, value: usize, given_up: &[bool]) -> bool {
        (entry.again || entry.node >= self.forward) && given_up[self.roots[value]]
    }

    pub(super) fn cost(&self, given_up: &[bool]) -> Cost {
        let count = self.roots.len();
        let entries: Vec<Entry> = self.schedule(given_up);
        let entries: Vec<Entry> =
            entries.into_iter().filter(|entry| !blocks::is_leaf(&self.nodes[entry.node].op)).collect();
        let steps: Vec<Step> = entries.iter().map(|&entry| self.step(entry, given_up)).collect();
        let bytes = |tensor: usize| self.bytes[tensor % count];
        let mut lives = blocks::lives(&steps, 2 * count);
        self.outside.iter().for_each(|&root| lives[root].1 = entries.len());
        let runs = blocks::runs(&steps, &lives, bytes);
        let mut room: Vec<u64> = (0..2 * count).map(bytes).collect();
        runs.iter().for_each(|run| run.inner.iter().for_each(|&tensor| room[tensor] = run.blocks.of(room[tensor])));
        // The result of a node whose mask nobody reads again lies where the mask lay.
        let mut places = vec![None; count];
        for (at, &entry) in entries.iter().enumerate() {
            if let Some((result, mask)) = self.mask(entry, given_up)
                && lives[mask].1 == at
                && lives[result].0 == at
                && room[mask] == room[result]
            {
                places[result] = Some(mask);
            }
        }
        // All of a run goes on at the same time.
        for run in &runs {
            for &(tensor, _) in steps[run.steps.clone()].iter().flat_map(|step| &step.touches) {
                let (first, last) = &mut lives[tensor];
                if run.steps.contains(first) {
                    *first = run.steps.start;
                }
                if run.steps.contains(last) {
                    *last = run.steps.end - 1;
                }
            }
        }
        let mut change = vec![0_i64; entries.len() + 2];
        for (tensor, &(first, last)) in lives.iter().enumerate() {
            let mask = places.get(tensor).copied().flatten();
            let first = mask.map_or(first, |mask: usize| lives[mask].1 + 1);
            if first <= last {
                change[first] += room[tensor] as i64;
                change[last + 1] -= room[tensor] as i64;
            }
        }
        let mut alive = 0;
        let peak = change.into_iter().map(|bytes| {
            alive += bytes;
            alive
        });
        let again = |candidate: &&Candidate| lives[count + candidate.root].0 < entries.len();
        let work = self.candidates.iter().filter(again).map(|candidate| candidate.work).sum();
        (peak.max().unwrap_or(0) as u64, work)
    }

    /// The tensors that an entry touches: what is given up has one result that counts, the others of a node that runs again
    /// are of no use.
    fn step(&self, entry: Entry, given_up: &[bool]) -> Step {
        let (blocks, by_rows) = &self.blocks[entry.node];
        let touch = |value: usize, second: bool| {
            (self.roots[value] + if second { self.roots.len() } else { 0 }, by_rows.contains(&value))
        };
        let reads = self.reads[entry.node].iter();
        let mut touches: Vec<_> = reads.map(|&value| touch(value, self.is_second(entry, value, given_up))).collect();
        for output in self.nodes[entry.node].outputs.iter().map(|output| output.index()) {
            let second = entry.again && given_up[self.roots[output]];
            if second || !entry.again {
                touches.push(touch(output, second));
            }
        }
        Step { blocks: *blocks, touches }
    }

    /// The roots of result and mask of an entry, if one can lie in the other's place.
    fn mask(&self, entry: Entry, given_up: &[bool]) -> Option<(usize, usize)> {
        let node = &self.nodes[entry.node];
        let mask = node.epilogue.mask.as_ref().filter(|_| masks::may_share(&node.op))?.output.index();
        let second = self.is_second(entry, mask, given_up);
        Some((self.roots[node.outputs[0].index()], self.roots[mask] + if second { self.roots.len() } else { 0 }))
    }
}
