//! What is written is what is read.

use safetensors::SafeTensors;

use super::*;

pub(in crate::io) fn example() -> TensorFile {
    let mut file = TensorFile::new();
    for (i, name) in ["fc.weight", "conv.weight", "conv.bias", "optimizer.step"].into_iter().enumerate() {
        let data: Vec<f32> = (0..i * 2).map(|v| v as f32 - 1.5).collect();
        file.insert(name, HostTensor { shape: vec![i, 2], data }).unwrap();
    }
    file.insert("scalar", HostTensor { shape: vec![], data: vec![f32::MIN_POSITIVE / 2.0] }).unwrap();
    for key in ["seed", "epoch", "step", "model", "a \"quoted\" key\n"] {
        file.metadata.insert(key.into(), u64::MAX.to_string());
    }
    file
}

#[test]
fn what_is_written_is_read_again_here_and_by_the_crate() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("runs/a.safetensors");
    let file = example();
    file.write(&path).unwrap();
    let again = TensorFile::read(&path).unwrap();
    assert_eq!((&again.tensors, &again.metadata), (&file.tensors, &file.metadata));

    let bytes = std::fs::read(&path).unwrap();
    let (length, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(length % 8, 0);
    assert_eq!(metadata.metadata().as_ref().unwrap()["seed"], u64::MAX.to_string());
    let theirs = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(theirs.len(), file.tensors.len());
    for (name, tensor) in file.iter() {
        let view = theirs.tensor(name).unwrap();
        assert_eq!((view.shape(), to_f32(view.dtype(), view.data())), (&tensor.shape[..], Some(tensor.data.clone())));
    }
}

#[test]
fn the_same_content_gives_the_same_bytes() {
    let (forward, mut backward) = (example(), TensorFile::new());
    for (name, tensor) in example().tensors.into_iter().rev() {
        backward.insert(name, tensor).unwrap();
    }
    for (key, value) in example().metadata.into_iter().rev() {
        backward.metadata.insert(key, value);
    }
    assert_eq!(forward.to_bytes().unwrap(), backward.to_bytes().unwrap());

    let mut small = TensorFile::new();
    assert_eq!(small.to_bytes().unwrap(), b"\x08\0\0\0\0\0\0\0{}      ");
    small.metadata.insert("b".into(), "2".into());
    small.metadata.insert("a".into(), "1".into());
    assert_eq!(small.to_bytes().unwrap(), b"\x28\0\0\0\0\0\0\0{\"__metadata__\":{\"a\":\"1\",\"b\":\"2\"}}      ");
}

#[test]
fn other_floats_become_f32_and_other_types_wait_until_asked_for() {
    let header = r#"{"h":{"dtype":"F16","shape":[2],"data_offsets":[0,4]},"b":{"dtype":"BF16","shape":[1],"data_offsets":[4,6]},
        "n":{"dtype":"I64","shape":[],"data_offsets":[6,14]},"d":{"dtype":"F64","shape":[1],"data_offsets":[14,22]}}"#;
    let mut bytes = [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat();
    bytes.extend([0x00, 0x3e, 0x01, 0x00, 0x20, 0xc0]);
    bytes.extend(7_u64.to_le_bytes());
    bytes.extend((0.1_f64).to_le_bytes());
    let file = TensorFile::from_bytes("f", &bytes).unwrap();
    assert_eq!(file.get("h").unwrap().data, [1.5, 2.0_f32.powi(-24)]);
    assert_eq!(file.get("b").unwrap().data, [-2.5]);
    assert_eq!(file.get("d").unwrap().data, [0.1_f32]);
    assert!(file.get("n").unwrap_err().to_string().contains("tensor `n` is I64, expected F32, F16, BF16 or F64"));
    assert!(file.get("x").unwrap_err().to_string().contains("no tensor `x`; there are b, d, h"));
}

#[test]
fn tensors_that_contradict_themselves_cannot_be_added() {
    let mut file = TensorFile::new();
    for shape in [vec![3], vec![], vec![2, 0], vec![usize::MAX, 2]] {
        assert!(file.insert("w", HostTensor { shape, data: vec![0.0; 2] }).is_err());
    }
    assert!(file.insert("__metadata__", HostTensor { shape: vec![], data: vec![0.0] }).is_err());
    assert_eq!(file.names().count(), 0);
}

#[test]
fn numbers_in_metadata_are_exact_or_an_error() {
    let mut file = TensorFile::new();
    file.metadata.insert("rng".into(), u64::MAX.to_string());
    assert_eq!(file.parse::<u64>("rng").unwrap(), u64::MAX);
    let text = file.parse::<u32>("rng").unwrap_err().to_string();
    assert!(text.contains("metadata `rng`: `18446744073709551615` is not a u32"), "{text}");
    assert!(file.parse::<u32>("epoch").unwrap_err().to_string().contains("metadata `epoch`: missing"));
}
