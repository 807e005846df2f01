//! Options that make no sense, and those that would harm a run that is there.

use crate::program::{assert_tidy, bytes, folder, wgrad};

#[test]
fn options_that_make_no_sense() {
    let dir = folder();
    for (options, says) in [
        ("--model lenet6", "there is no model \"lenet6\"; there are lenet5, lenet5-1998, tutorial"),
        ("--data imagenet", "unknown data set `imagenet`"),
        ("--data mnist", "write `mnist:DIR`"),
        ("--batch-size 0", "--batch-size must be at least 1"),
        ("--epochs 0", "--epochs must be at least 1"),
        ("--steps 0", "--steps must be at least 1"),
        ("--lr NaN", "--lr must be finite"),
        ("--lr=-1", "--lr must be finite and not negative"),
        ("--optimizer sgd --momentum 1", "--momentum must be in 0..1"),
        ("--weight-decay=-1", "--weight-decay must be"),
        ("--optimizer sgd --momentum 0 --nesterov", "--nesterov needs a --momentum above 0"),
        ("--optimizer adam --momentum 0.9", "--momentum belongs to --optimizer sgd"),
        ("--optimizer adagrad", "rmsprop"),
        ("--optimizer rmsprop --nesterov", "--nesterov belongs to --optimizer sgd"),
        ("--optimizer rmsprop --alpha 1", "--alpha must be in 0..1"),
        ("--centered", "--centered belongs to --optimizer rmsprop"),
        ("--decay biases", "[possible values: all, weights]"),
        ("--clip-norm 0", "--clip-norm must be finite and above 0"),
        ("--clip-norm 1 --clip-value 1", "cannot be used with"),
        ("--accumulate 0", "--accumulate must be 1 to 64 batches"),
        ("--ema 1", "--ema must be in 0..1"),
        ("--freeze features", "--freeze features: there is no parameter at or below this path"),
        ("--freeze conv1,conv2,fc1,fc2,fc3", "leaves no parameter to train"),
        ("--label-smoothing=-0.1", "--label-smoothing must be in 0..1"),
        ("--class-weights 1,2", "--class-weights has 2 numbers, but digits has 10 classes"),
        ("--class-weights some", "--class-weights is equal, balanced, or numbers"),
        ("--schedule linear", "cosine[:MIN[:WARMUP_STEPS]]"),
        ("--seed=-1", "'--seed <SEED>'"),
        ("--adapter no-such-adapter", "nothing matches \"no-such-adapter\""),
        ("--resume", "there is no run in runs/lenet5-digits"),
        ("--resume --overwrite", "cannot be used with"),
        ("--resume --out nothing", "config.toml: cannot read"),
        ("--init nothing.safetensors", "nothing.safetensors: cannot read"),
        ("--data mnist:nothing", "nothing: cannot read"),
    ] {
        let done = wgrad(dir.path(), &format!("train {options}"));
        done.fails_with(2, &[says]);
    }
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0, "nothing was left behind");
}

#[test]
fn commands_that_make_no_sense() {
    let dir = folder();
    std::fs::write(dir.path().join("text.png"), "no picture").unwrap();
    for (arguments, says) in [
        ("train-and-eval", "unrecognized subcommand"),
        ("summary alexnot", "there is no model"),
        ("summary lenet5 --input 28x28", "channels x height x width"),
        ("summary lenet5 --input 3x28x28", "lenet5: takes images of [[1, 28, 28], [1, 32, 32]]"),
        ("summary lenet5 --batch 0", "at least 1"),
        ("bench lenet5 --batch 0", "at least 1"),
        ("bench lenet7", "there is no model"),
        ("profile lenet5 --batch 0", "at least 1"),
        ("selftest no-such-case", "no case has \"no-such-case\""),
        ("eval --weights nothing --data digits", "nothing: cannot read"),
        ("eval --weights text.png --data digits", "no safetensors file"),
        ("eval --weights text.png --data digits --batch-size 0", "at least 1"),
        ("predict --weights text.png text.png", "no safetensors file"),
    ] {
        wgrad(dir.path(), arguments).fails_with(2, &[says]);
    }
}

#[test]
fn a_run_that_is_there_is_not_lost() {
    let dir = folder();
    let run = dir.path().join("run");
    let options = "--steps 2 --batch-size 64 --optimizer sgd --lr 0.05 --schedule cosine --out run";
    wgrad(dir.path(), &format!("train {options}")).ends_with(0);
    assert_tidy(&run);
    let before = bytes(run.join("checkpoint.safetensors"));
    let says = ["run holds a run already", "--resume", "--overwrite"];
    wgrad(dir.path(), "train --steps 2 --out run --seed 1").fails_with(2, &says);
    for (option, says) in [
        ("--lr 0.1", "--lr is 0.1, but the run in run has 0.05"),
        ("--model tutorial", "--model is tutorial, but the run in run has lenet5"),
        ("--batch-size 32", "--batch-size is 32, but the run in run has 64"),
        ("--optimizer adam", "--optimizer is adam, but the run in run has sgd"),
        ("--no-shuffle", "--no-shuffle is on, but the run in run has off"),
        ("--seed 3", "--seed is 3, but the run in run has 0"),
        ("--steps 1", "has done 2 steps, and the end that is asked for is step 1"),
    ] {
        wgrad(dir.path(), &format!("train --resume --out run {option}")).fails_with(2, &[says]);
    }
    let config = std::fs::read_to_string(run.join("config.toml")).unwrap();
    for (text, says) in [
        (config.replace("batch-size", "batchsize"), "batchsize"),
        (config.replace("sgd", "rprop"), "there is no optimizer \"rprop\""),
        (config.replace("model = \"lenet5\"", "model = \"lenet5-1998\""), "does not fit this network"),
    ] {
        std::fs::write(run.join("config.toml"), text).unwrap();
        wgrad(dir.path(), "train --resume --out run --epochs 2").fails_with(2, &[says]);
    }
    std::fs::write(run.join("config.toml"), config).unwrap();
    assert_eq!(bytes(run.join("checkpoint.safetensors")), before);

    std::fs::write(run.join("checkpoint.safetensors"), &before[..before.len() / 2]).unwrap();
    wgrad(dir.path(), "train --resume --out run --epochs 2").fails_with(2, &["checkpoint.safetensors", "cut off"]);
    std::fs::write(run.join("checkpoint.safetensors"), &before).unwrap();
    wgrad(dir.path(), &format!("train {options} --overwrite")).ends_with(0);
    assert_eq!(bytes(run.join("checkpoint.safetensors")), before);
}
