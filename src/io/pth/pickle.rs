//! Python's pickle, as far as files of tensors go: the opcodes are followed, and nothing is ever executed.
//!
//! A pickle is a program that builds objects and may call any function of any Python module. Here names of functions
//! and classes stay names: a call becomes a [`Node::Call`] of a name with its arguments, to be understood later, or not
//! at all, by a reader that knows a handful of them. Crates exist (`serde-pickle`, `repugnant-pickle`), but none that
//! is kept up takes the persistent ids by which PyTorch refers to storages, and recursion, as serde has it, follows a
//! hostile file until the stack ends.
//!
//! Bad files can do no harm by size: there is no recursion, objects share others by number instead of copying them, and
//! each opcode makes at most one object out of bytes that are there, [`MAX_OPCODES`] of them at most.
//!
//! Opcodes: <https://github.com/python/cpython/blob/main/Lib/pickletools.py>. Protocols 2 to 5 are read; `torch.save`
//! writes 2.

use std::collections::BTreeMap;

/// Well above the largest network's file (some 25 for a tensor), well below what would bring a machine down.
const MAX_OPCODES: usize = 4_000_000;

/// The number of an object, in the order of making.
pub(super) type Id = u32;

/// An object that a pickle makes.
#[derive(Debug)]
pub(super) enum Node<'a> {
    Bool(bool),
    Int(i64),
    Text(&'a str),
    /// Something imported: module and name.
    Global(&'a str, &'a str),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    /// Keys and values in the order of insertion; a later value of the same key counts.
    Dict(Vec<(Id, Id)>),
    /// What a reader of the file is to find by this id: a storage.
    Persistent(Id),
    /// The result of a call of a global.
    Call {
        module: &'a str,
        name: &'a str,
        args: Id,
    },
    /// Anything else: None, floats, bytes, large integers, results of other calls.
    Other(&'static str),
}

/// The objects of a pickle.
pub(super) struct Pickle<'a> {
    nodes: Vec<Node<'a>>,
    /// The object that the pickle stands for.
    pub root: Id,
    /// Bytes up to the end of the pickle; more may follow.
    pub length: usize,
}

impl<'a> Pickle<'a> {
    /// Reads the pickle at the begin of `bytes`. Errors say what is wrong at which offset.
    pub fn read(bytes: &'a [u8]) -> Result<Self, String> {
        let mut machine = Machine { bytes, at: 0, nodes: vec![], stack: vec![], marks: vec![], memo: BTreeMap::new() };
        for count in 0.. {
            let start = machine.at;
            if count == MAX_OPCODES {
                return Err(format!("more than {MAX_OPCODES} opcodes at offset {start}"));
            }
            match machine.step() {
                Ok(None) => {}
                Ok(Some(root)) => return Ok(Self { nodes: machine.nodes, root, length: machine.at }),
                Err(what) => return Err(format!("{what} at offset {start}")),
            }
        }
        Err("no end".into())
    }

    pub fn node(&self, id: Id) -> &Node<'a> {
        &self.nodes[id as usize]
    }

    /// All objects, in the order of making.
    pub fn nodes(&self) -> &[Node<'a>] {
        &self.nodes
    }

    /// The bool of this name in the dictionary that the pickle stands for.
    pub fn flag(&self, name: &str) -> Option<bool> {
        let pairs = self.dict(self.root)?;
        let value = pairs.into_iter().find(|&(key, _)| self.text(key) == Some(name))?.1;
        if let Node::Bool(flag) = self.node(value) { Some(*flag) } else { None }
    }

    pub fn int(&self, id: Id) -> Option<i64> {
        if let Node::Int(number) = self.node(id) { Some(*number) } else { None }
    }

    pub fn text(&self, id: Id) -> Option<&'a str> {
        if let Node::Text(text) = self.node(id) { Some(text) } else { None }
    }

    /// The items of a tuple or list.
    pub fn items(&self, id: Id) -> Option<&[Id]> {
        if let Node::Tuple(items) | Node::List(items) = self.node(id) { Some(items) } else { None }
    }

    /// The entries of a dictionary.
    pub fn dict(&self, id: Id) -> Option<Vec<(Id, Id)>> {
        match self.node(id) {
            Node::Dict(pairs) => Some(pairs.clone()),
            // From Python 2: made whole, out of a list of pairs.
            Node::Call { module: "collections", name: "OrderedDict", args } => {
                let &[list] = self.items(*args)? else { return None };
                let pair = |&id| if let &[key, value] = self.items(id)? { Some((key, value)) } else { None };
                self.items(list)?.iter().map(pair).collect()
            }
            _ => None,
        }
    }

    /// What an object is, for error texts.
    pub fn kind(&self, id: Id) -> String {
        match self.node(id) {
            Node::Bool(_) => "a bool".into(),
            Node::Int(_) => "an integer".into(),
            Node::Text(_) => "a string".into(),
            Node::Global(module, name) => format!("the name {module}.{name}"),
            Node::Tuple(_) => "a tuple".into(),
            Node::List(_) => "a list".into(),
            Node::Dict(_) => "a dictionary".into(),
            Node::Persistent(_) => "a storage".into(),
            Node::Call { module, name, .. } => format!("an object made by {module}.{name}"),
            Node::Other(kind) => (*kind).into(),
        }
    }
}

type Step<T> = Result<T, &'static str>;

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    nodes: Vec<Node<'a>>,
    stack: Vec<Id>,
    /// Heights of the stack at the marks that are open.
    marks: Vec<usize>,
    memo: BTreeMap<u32, Id>,
}

impl<'a> Machine<'a> {
    /// Follows one opcode; yields the root at the end.
    fn step(&mut self) -> Step<Option<Id>> {
        let [opcode] = self.array()?;
        match opcode {
            // PROTO, FRAME
            0x80 => match self.array()? {
                [2..=5] => {}
                _ => return Err("a pickle of another protocol than 2 to 5"),
            },
            0x95 => drop(self.array::<8>()?),
            b'.' => return self.pop().map(Some),

            // The stack and the memo.
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_mark()?),
            b'2' => self.push_id(self.top()?),
            b'q' => self.put_u8()?,
            b'r' => self.put_u32()?,
            0x94 => self.put(self.memo.len() as u32)?,
            b'h' => self.get_u8()?,
            b'j' => self.get_u32()?,

            // Plain values.
            b'N' => self.push(Node::Other("None")),
            0x88 | 0x89 => self.push(Node::Bool(opcode == 0x88)),
            b'G' => {
                self.array::<8>()?;
                self.push(Node::Other("a float"));
            }
            b'K' => self.push_int(|[byte]: [u8; 1]| byte.into())?,
            b'M' => self.push_int(|bytes| u16::from_le_bytes(bytes).into())?,
            b'J' => self.push_int(|bytes| i32::from_le_bytes(bytes).into())?,
            0x8a => {
                let length = self.length::<1>()?;
                self.push_long(length)?;
            }
            0x8b => {
                let length = self.length::<4>()?;
                self.push_long(length)?;
            }
            0x8c => self.push_text::<1>()?,
            b'X' => self.push_text::<4>()?,
            0x8d => self.push_text::<8>()?,
            // Strings of Python 2, which are text where they name something.
            b'U' => self.push_string::<1>()?,
            b'T' => self.push_string::<4>()?,
            b'C' => self.push_bytes::<1>()?,
            b'B' => self.push_bytes::<4>()?,
            0x8e | 0x96 => self.push_bytes::<8>()?,

            // Containers.
            b')' => self.push(Node::Tuple(vec![])),
            0x85..=0x87 => {
                let items = self.pop_many(usize::from(opcode - 0x84))?;
                self.push(Node::Tuple(items));
            }
            b't' => {
                let items = self.pop_mark()?;
                self.push(Node::Tuple(items));
            }
            b']' | 0x8f => self.push(Node::List(vec![])),
            b'l' | 0x91 => {
                let items = self.pop_mark()?;
                self.push(Node::List(items));
            }
            b'a' => {
                let items = self.pop_many(1)?;
                self.extend_list(&items)?;
            }
            b'e' | 0x90 => {
                let items = self.pop_mark()?;
                self.extend_list(&items)?;
            }
            b'}' => self.push(Node::Dict(vec![])),
            b'd' => {
                let items = self.pop_mark()?;
                self.push(Node::Dict(vec![]));
                self.extend_dict(&items)?;
            }
            b's' => {
                let items = self.pop_many(2)?;
                self.extend_dict(&items)?;
            }
            b'u' => {
                let items = self.pop_mark()?;
                self.extend_dict(&items)?;
            }

            // Names, calls, and what they make.
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(Node::Global(module, name));
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                match (&self.nodes[module as usize], &self.nodes[name as usize]) {
                    (&Node::Text(module), &Node::Text(name)) => self.push(Node::Global(module, name)),
                    _ => return Err("a name that is no text"),
                }
            }
            b'Q' => {
                let id = self.pop()?;
                self.push(Node::Persistent(id));
            }
            b'R' | 0x81 => self.call()?,
            0x92 => {
                self.pop()?;
                self.call()?;
            }
            // The state of an object, which nothing here looks at: a dictionary's attributes, a parameter's hooks.
            b'b' => {
                self.pop()?;
                self.top()?;
            }
            _ => return Err("an opcode that files of PyTorch do not have"),
        }
        Ok(None)
    }

    fn take(&mut self, length: usize) -> Step<&'a [u8]> {
        let taken = self.bytes[self.at..].get(..length).ok_or("the pickle is cut off")?;
        self.at += length;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Step<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| "the pickle is cut off")
    }

    /// A length of `N` bytes.
    fn length<const N: usize>(&mut self) -> Step<usize> {
        let mut bytes = [0; 8];
        bytes[..N].copy_from_slice(self.take(N)?);
        usize::try_from(u64::from_le_bytes(bytes)).map_err(|_| "the pickle is cut off")
    }

    fn line(&mut self) -> Step<&'a str> {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().position(|&byte| byte == b'\n').ok_or("the pickle is cut off")?;
        self.at += length + 1;
        str::from_utf8(&rest[..length]).map_err(|_| "a name that is no text")
    }

    fn push_id(&mut self, id: Id) {
        self.stack.push(id);
    }

    fn push(&mut self, node: Node<'a>) {
        // There are fewer than MAX_OPCODES.
        self.stack.push(self.nodes.len() as Id);
        self.nodes.push(node);
    }

    fn push_int<const N: usize>(&mut self, decode: impl Fn([u8; N]) -> i64) -> Step<()> {
        let number = decode(self.array()?);
        self.push(Node::Int(number));
        Ok(())
    }

    fn push_long(&mut self, length: usize) -> Step<()> {
        let bytes = self.take(length)?;
        let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut all = [if negative { 0xff } else { 0 }; 8];
        match all.get_mut(..length) {
            Some(low) => {
                low.copy_from_slice(bytes);
                self.push(Node::Int(i64::from_le_bytes(all)));
            }
            None => self.push(Node::Other("a large integer")),
        }
        Ok(())
    }

    fn push_text<const N: usize>(&mut self) -> Step<()> {
        let length = self.length::<N>()?;
        let text = str::from_utf8(self.take(length)?).map_err(|_| "text that is not UTF-8")?;
        self.push(Node::Text(text));
        Ok(())
    }

    fn push_string<const N: usize>(&mut self) -> Step<()> {
        let length = self.length::<N>()?;
        let bytes = self.take(length)?;
        self.push(str::from_utf8(bytes).map_or(Node::Other("bytes"), Node::Text));
        Ok(())
    }

    fn push_bytes<const N: usize>(&mut self) -> Step<()> {
        let length = self.length::<N>()?;
        self.take(length)?;
        self.push(Node::Other("bytes"));
        Ok(())
    }

    /// The height below which the stack belongs to what was before the last mark.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Step<Id> {
        self.stack[self.floor()..].last().copied().ok_or("too few values on the stack")
    }

    fn pop(&mut self) -> Step<Id> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_many(&mut self, count: usize) -> Step<Vec<Id>> {
        if self.stack.len() - self.floor() < count {
            return Err("too few values on the stack");
        }
        Ok(self.stack.split_off(self.stack.len() - count))
    }

    fn pop_mark(&mut self) -> Step<Vec<Id>> {
        let mark = self.marks.pop().ok_or("too few marks on the stack")?;
        Ok(self.stack.split_off(mark))
    }

    fn put(&mut self, index: u32) -> Step<()> {
        let top = self.top()?;
        self.memo.insert(index, top);
        Ok(())
    }

    fn put_u8(&mut self) -> Step<()> {
        let [index] = self.array()?;
        self.put(index.into())
    }

    fn put_u32(&mut self) -> Step<()> {
        let index = u32::from_le_bytes(self.array()?);
        self.put(index)
    }

    fn get(&mut self, index: u32) -> Step<()> {
        let id = self.memo.get(&index).copied().ok_or("a value that was not memorised")?;
        self.push_id(id);
        Ok(())
    }

    fn get_u8(&mut self) -> Step<()> {
        let [index] = self.array()?;
        self.get(index.into())
    }

    fn get_u32(&mut self) -> Step<()> {
        let index = u32::from_le_bytes(self.array()?);
        self.get(index)
    }

    fn extend_list(&mut self, items: &[Id]) -> Step<()> {
        let top = self.top()?;
        match &mut self.nodes[top as usize] {
            Node::List(list) => list.extend(items),
            // Classes that behave like lists.
            Node::Call { .. } | Node::Other(_) => {}
            _ => return Err("an item for what is no list"),
        }
        Ok(())
    }

    fn extend_dict(&mut self, items: &[Id]) -> Step<()> {
        let top = self.top()?;
        let (pairs, []) = items.as_chunks() else { return Err("a key without a value") };
        match &mut self.nodes[top as usize] {
            Node::Dict(dict) => dict.extend(pairs.iter().map(|&[key, value]| (key, value))),
            Node::Call { .. } | Node::Other(_) => {}
            _ => return Err("an item for what is no dictionary"),
        }
        Ok(())
    }

    /// A function or class and its arguments become what they would make, without being called.
    fn call(&mut self) -> Step<()> {
        let (args, function) = (self.pop()?, self.pop()?);
        let Node::Tuple(items) = &self.nodes[args as usize] else { return Err("arguments that are no tuple") };
        let made = match self.nodes[function as usize] {
            Node::Global("collections", "OrderedDict") if items.is_empty() => Node::Dict(vec![]),
            Node::Global(module, name) => Node::Call { module, name, args },
            _ => Node::Other("an object made by an unknown function"),
        };
        self.push(made);
        Ok(())
    }
}

#[cfg(test)]
#[path = "pickle_tests.rs"]
mod tests;
