//! Integer arithmetic on constants, done in the text.
//!
//! Unrolled loops are full of `acc[3 * KT + 1]`. The WGSL front end spends most of its time on such expressions, more
//! than in proportion to their number, so they become `acc[25]` before it sees them.

use std::collections::HashMap;

/// An integer with the suffix of its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    pub value: i64,
    /// `'u'`, `'i'`, or `' '` for a literal without suffix.
    pub kind: char,
}

impl Number {
    /// A literal of it.
    pub fn literal(self) -> String {
        format!("{}{}", self.value, self.kind).trim().to_string()
    }
}

/// Names and their numbers.
pub type Constants = HashMap<String, Number>;

/// The number of `text`, if it consists of nothing but literals, constants, casts, `max`, `min` and arithmetic.
pub fn evaluate(text: &str, constants: &Constants) -> Option<Number> {
    let mut parser = Parser { rest: text.trim(), constants };
    let number = parser.sum()?;
    parser.rest.trim().is_empty().then_some(number)
}

struct Parser<'a> {
    rest: &'a str,
    constants: &'a Constants,
}

impl Parser<'_> {
    fn take(&mut self, symbols: &[char]) -> Option<char> {
        self.rest = self.rest.trim_start();
        let first = self.rest.chars().next().filter(|symbol| symbols.contains(symbol))?;
        self.rest = &self.rest[1..];
        Some(first)
    }

    fn sum(&mut self) -> Option<Number> {
        let mut left = self.product()?;
        while let Some(symbol) = self.take(&['+', '-']) {
            left = combine(left, symbol, self.product()?)?;
        }
        Some(left)
    }

    fn product(&mut self) -> Option<Number> {
        let mut left = self.atom()?;
        while let Some(symbol) = self.take(&['*', '/', '%']) {
            left = combine(left, symbol, self.atom()?)?;
        }
        Some(left)
    }

    fn atom(&mut self) -> Option<Number> {
        if self.take(&['(']).is_some() {
            let inner = self.sum()?;
            return self.take(&[')']).map(|_| inner);
        }
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        if ["max", "min"].contains(&word) {
            self.take(&['('])?;
            let first = self.sum()?;
            self.take(&[','])?;
            let second = self.sum()?;
            self.take(&[')'])?;
            let first_wins = (first.value > second.value) == (word == "max");
            return Some(if first_wins { first } else { second });
        }
        if let Some(kind) = [("i32", 'i'), ("u32", 'u')].iter().find(|(name, _)| *name == word).map(|(_, kind)| *kind) {
            self.take(&['('])?;
            let inner = self.sum()?;
            self.take(&[')'])?;
            return Some(Number { kind, ..inner });
        }
        literal(word).or_else(|| self.constants.get(word).copied())
    }
}

/// An integer literal.
pub fn literal(word: &str) -> Option<Number> {
    let kind = word.chars().last().filter(|kind| ['u', 'i'].contains(kind)).unwrap_or(' ');
    Some(Number { value: word.trim_end_matches(['u', 'i']).parse().ok()?, kind })
}

fn combine(a: Number, symbol: char, b: Number) -> Option<Number> {
    let value = match symbol {
        '+' => a.value.checked_add(b.value),
        '-' => a.value.checked_sub(b.value),
        '*' => a.value.checked_mul(b.value),
        '/' => a.value.checked_div(b.value),
        _ => a.value.checked_rem(b.value),
    }?;
    Some(Number { value, kind: if a.kind == ' ' { b.kind } else { a.kind } })
}

/// `line` with whole words replaced by numbers, except after a dot, and with constant indices folded.
pub fn fold(line: &str, substitutions: &Constants, constants: &Constants) -> String {
    let replaced = substitute(line, substitutions);
    let mut out = String::with_capacity(replaced.len());
    let mut rest = &replaced[..];
    while let Some(open) = rest.find('[') {
        let (before, inside) = rest.split_at(open + 1);
        out.push_str(before);
        rest = inside;
        let close = inside.find(['[', ']']).filter(|&at| inside[at..].starts_with(']'));
        if let Some((close, number)) = close.and_then(|close| Some((close, evaluate(&inside[..close], constants)?))) {
            out.push_str(&number.value.to_string());
            rest = &inside[close..];
        }
    }
    out + rest
}

fn substitute(line: &str, numbers: &Constants) -> String {
    let word_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(start) = rest.find(word_part) {
        let end = rest[start..].find(|c| !word_part(c)).map_or(rest.len(), |length| start + length);
        let word = &rest[start..end];
        out.push_str(&rest[..start]);
        match numbers.get(word) {
            Some(number) if !out.ends_with('.') => out.push_str(&number.literal()),
            _ => out.push_str(word),
        }
        rest = &rest[end..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic() {
        let constants = Constants::from([("KT".into(), Number { value: 6, kind: 'i' })]);
        let value = |text| evaluate(text, &constants).map(Number::literal);
        assert_eq!(value("(2i * 5 + 1) * KT - 4").as_deref(), Some("62i"));
        assert_eq!(value("u32(14 / 4) % 8u").as_deref(), Some("3u"));
        assert_eq!(value("max(3 - KT, 0) + min(KT, 2 * 5)").as_deref(), Some("6i"));
        assert_eq!(value("i32(7u)").as_deref(), Some("7i"));
        assert_eq!(value("at + 1"), None);
        assert_eq!(value("1 / 0"), None);
        assert_eq!(value("1.5"), None);
    }

    #[test]
    fn lines() {
        let constants = Constants::from([("KT".into(), Number { value: 6, kind: 'i' })]);
        let k = Constants::from([("k".into(), Number { value: 3, kind: 'i' })]);
        assert_eq!(
            fold("acc[2 * KT + k] += w[k % 2][lane] * dims.k;", &k, &constants),
            "acc[15] += w[1][lane] * dims.k;"
        );
        assert_eq!(fold("a[b[k] + 1]", &k, &constants), "a[b[3] + 1]");
    }
}
