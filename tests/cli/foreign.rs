//! Weights that PyTorch saved: to begin with, whole or in part, and to evaluate.

use crate::program::{bytes, checkpoint, folder, wgrad};
use rawzip::ZipArchiveWriter;
use std::io::Write;
use std::path::Path;
use wgrad::io::{HostTensor, TensorFile};

/// The pickle of a checkpoint of these tensors, as `torch.save` writes it.
fn pickle(tensors: &[(String, HostTensor)]) -> Vec<u8> {
    let text = |text: &str| [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat();
    let int = |number: usize| [b"J", &(number as u32).to_le_bytes()[..]].concat();
    let mut bytes = [b"\x80\x02}", &text("epoch")[..], b"K\x03s", &text("state_dict"), b"}("].concat();
    for (index, (name, HostTensor { shape, data })) in tensors.iter().enumerate() {
        let strides = (1..=shape.len()).map(|dim| int(shape[dim..].iter().product()));
        bytes.extend(text(&format!("module.{name}")));
        bytes.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        bytes.extend(
            [&text("storage")[..], b"ctorch\nFloatStorage\n", &text(&index.to_string()), &text("cpu")].concat(),
        );
        bytes.extend([&int(data.len())[..], b"tQK\0("].concat());
        bytes.extend(shape.iter().flat_map(|&dim| int(dim)));
        bytes.extend(b"t(");
        bytes.extend(strides.flatten());
        bytes.extend(b"t\x89ccollections\nOrderedDict\n)RtR");
    }
    bytes.extend(b"us.");
    bytes
}

/// A checkpoint of a wrapped network, as PyTorch leaves it.
fn write_pth(path: &Path, tensors: &[(String, HostTensor)]) {
    let mut entries = vec![("run/data.pkl".to_string(), pickle(tensors))];
    for (index, (_, tensor)) in tensors.iter().enumerate() {
        entries
            .push((format!("run/data/{index}"), tensor.data.iter().flat_map(|number| number.to_le_bytes()).collect()));
    }
    let mut archive = ZipArchiveWriter::new(Vec::new());
    for (name, content) in entries {
        let (mut entry, config) = archive.new_file(&name).start().unwrap();
        let mut writer = config.wrap(&mut entry);
        writer.write_all(&content).unwrap();
        let (_, descriptor) = writer.finish().unwrap();
        entry.finish(descriptor).unwrap();
    }
    std::fs::write(path, archive.finish().unwrap()).unwrap();
}

/// The weights with which the golden curves of lenet5 begin.
fn lenet5() -> Vec<(String, HostTensor)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/lenet5.init.safetensors");
    let file = TensorFile::read(path).unwrap();
    file.iter().map(|(name, tensor)| (name.to_string(), tensor.clone())).collect()
}

fn zeros(shape: &[usize]) -> HostTensor {
    HostTensor { shape: shape.into(), data: vec![0.5; shape.iter().product()] }
}

#[test]
fn a_pth_file_is_as_good_as_a_safetensors_file() {
    let dir = folder();
    let tensors = lenet5();
    write_pth(&dir.path().join("w.pth"), &tensors);
    let mut file = TensorFile::new();
    tensors.into_iter().for_each(|(name, tensor)| file.insert(name, tensor).unwrap());
    file.write(dir.path().join("w.safetensors")).unwrap();

    for (weights, out) in [("w.pth", "a"), ("w.safetensors", "b")] {
        let done = wgrad(dir.path(), &format!("train --steps 3 --init {weights} --out {out}")).ends_with(0);
        let says = format!("weights of {weights}: 10 tensors, 61,706 numbers\n");
        assert!(done.stderr.contains(&says), "{done:#?}");
    }
    assert!(bytes(dir.path().join("a/checkpoint.safetensors")) == bytes(dir.path().join("b/checkpoint.safetensors")));
    let eval = |weights: &str| {
        wgrad(dir.path(), &format!("eval --weights {weights} --model lenet5 --data digits --json")).ends_with(0).stdout
    };
    assert_eq!(eval("w.pth"), eval("w.safetensors"));
    wgrad(dir.path(), "eval --weights w.pth --data digits").fails_with(2, &["say --model and --data"]);
    wgrad(dir.path(), "eval --weights w.pth --data digits --model tutorial").fails_with(2, &["does not fit"]);
    image::GrayImage::new(28, 28).save(dir.path().join("0.png")).unwrap();
    let predict = |weights: &str| {
        let arguments = format!("predict --weights {weights} --model lenet5 --data digits --json 0.png");
        wgrad(dir.path(), &arguments).ends_with(0).stdout
    };
    assert_eq!(predict("w.pth"), predict("w.safetensors"));
}

#[test]
fn a_network_begins_with_the_part_that_fits() {
    let dir = folder();
    let mut tensors = lenet5();
    tensors.retain(|(name, _)| !name.starts_with("fc3") && name != "conv2.bias");
    tensors.extend(
        [("fc3.weight", &[7, 84][..]), ("fc3.bias", &[7]), ("aux.bias", &[3])]
            .map(|(name, shape)| (name.to_string(), zeros(shape))),
    );
    write_pth(&dir.path().join("w.pth"), &tensors);

    let train = "train --steps 1 --optimizer sgd --lr 0";
    wgrad(dir.path(), &format!("{train} --init w.pth --out run")).fails_with(2, &["does not fit this network"]);
    let done = wgrad(dir.path(), &format!("{train} --init-partial w.pth --out part")).ends_with(0);
    for says in [
        "weights of w.pth: 7 tensors, 60,840 numbers\n",
        "  in the file, not used: aux.bias\n",
        "  of another shape, left at random values: fc3.weight: expected [10, 84], found [7, 84]; fc3.bias: expected [10], found [7]\n",
        "  not in the file, left at random values: conv2.bias [16]\n",
    ] {
        assert!(done.stderr.contains(says), "{says} {done:#?}");
    }
    wgrad(dir.path(), &format!("{train} --out random")).ends_with(0);
    let [part, random] = ["part", "random"].map(|run| checkpoint(&dir.path().join(run)).tensors);
    for (name, tensor) in part.iter() {
        let taken = tensors.iter().find(|(other, found)| other == name && found.shape == tensor.shape);
        let expected = taken.map_or_else(|| random.get(name).unwrap(), |(_, tensor)| tensor);
        assert!(tensor == expected, "{name}");
    }

    // The run knows where it came from, and needs it no more.
    let config = std::fs::read_to_string(dir.path().join("part/config.toml")).unwrap();
    assert!(config.contains("\ninit-partial = \"w.pth\"\n"), "{config}");
    std::fs::remove_file(dir.path().join("w.pth")).unwrap();
    wgrad(dir.path(), "train --resume --steps 2 --out part").ends_with(0);
    assert_eq!(checkpoint(&dir.path().join("part")).step, 2);
    wgrad(dir.path(), "train --init a --init-partial b").fails_with(2, &["cannot be used with"]);
    wgrad(dir.path(), "train --resume --init-partial b --out part")
        .fails_with(2, &["--init-partial is b, but the run"]);
}

/// Else a picture would be scaled up to 10 GB.
#[test]
fn an_input_that_the_network_does_not_take_is_refused_first() {
    let dir = folder();
    let mut file = TensorFile::new();
    let entries =
        [("model", "lenet5"), ("input", "1x60000x60000"), ("classes", "[\"a\",\"b\"]"), ("mean", "0"), ("std", "1")];
    file.metadata.extend(entries.map(|(key, value)| (key.to_string(), value.to_string())));
    file.write(dir.path().join("w.safetensors")).unwrap();
    let says = ["takes images of [[1, 28, 28]"];
    wgrad(dir.path(), "predict --weights w.safetensors 0.png").fails_with(2, &says);
}

#[test]
fn files_that_are_no_weights() {
    let dir = folder();
    write_pth(&dir.path().join("other.pth"), &[("x".into(), zeros(&[2]))]);
    let whole = bytes(dir.path().join("other.pth"));
    std::fs::write(dir.path().join("cut.pth"), &whole[..whole.len() / 2]).unwrap();
    for (file, says) in [("other.pth", "no tensor in it has name and shape"), ("cut.pth", "damaged or cut off")] {
        let done = wgrad(dir.path(), &format!("train --init-partial {file} --out run"));
        done.fails_with(2, &[file, says]);
        assert!(!dir.path().join("run").exists(), "no folder is left");
    }
}
