//! Plans without a driver: placement, limits, and shaders in every configuration in use.

#[path = "common/blank.rs"]
mod blank;

use std::collections::{BTreeSet, HashMap};
use wgrad::gpu::Runner;
use wgrad::graph::{Clip, Conv2d, DType, Graph, differentiate_from};
use wgrad::kernels::{SOURCES, assemble};
use wgrad::plan::{Algorithm, Class, Cooperative, Groups, Half, Operand, Plan, Program, Region, Role, Target};
use wgrad::prelude::*;
use wgrad::reference::cases::cases;
use wgrad::train::{ClassWeights, training_program};

/// The kinds of adapter that choose kernels differently.
fn targets() -> Vec<Target> {
    let mut targets: Vec<Target> =
        [Class::Cpu, Class::Integrated, Class::Discrete, Class::Other].map(Target::portable).into();
    targets.iter_mut().for_each(|target| target.half = true);
    for wide in [false, true] {
        let lanes = |lanes| Target { lanes: Some(lanes), wide, half: true, ..Target::portable(Class::Cpu) };
        targets.extend([4, 8, 16].map(lanes));
        targets.push(Target { images: true, ..lanes(8) });
    }
    targets.extend([(8, true, 8), (8, false, 32), (16, true, 32), (16, true, 64)].map(|(size, half, lanes)| {
        let cooperative = vec![Cooperative { size, half, lanes }];
        Target { cooperative, half: true, ..Target::portable(Class::Discrete) }
    }));
    targets
}

/// Those that take 32x32 pixels: what the larger ones are made of, in less time.
fn small_models() -> impl Iterator<Item = &'static (&'static str, models::Build, usize)> {
    models::MODELS.iter().filter(|(_, build, _)| build(10).default_input()[1] <= 32)
}

fn training_plans(target: &Target) -> Vec<Plan> {
    let mut plans = vec![];
    for (name, build, _) in small_models() {
        let model = build(10);
        let digits = data::digits().fit(model.default_input()).unwrap();
        for (batch_size, amp) in [(1, false), (64, false), (7, true)] {
            let optimizer = Adam::new(0.1).into();
            let settings = Settings { batch_size, optimizer, amp, ..Settings::default() };
            let program = training_program(&model, &digits, &settings).unwrap();
            plans.push(Plan::new(&program, target).unwrap_or_else(|error| panic!("{name}: {error}")));
        }
    }
    let model = models::lenet5(10);
    let digits = data::digits().fit(model.default_input()).unwrap();
    for settings in with_options() {
        plans.push(Plan::new(&training_program(&model, &digits, &settings).unwrap(), target).unwrap());
    }
    plans
}

/// Settings that between them ask for everything.
fn with_options() -> [Settings; 3] {
    let groups = Groups { frozen: vec!["conv1".into()], spare_vectors: true };
    let clip = Some(Clip::Norm(1.0));
    let class_weights = ClassWeights::Balanced;
    let optimizer = Sgd::new(0.1).momentum(0.9).into();
    let all = Settings { accumulate: 4, average: Some(0.9), groups, clip, class_weights, ..Settings::default() };
    let value = Settings { clip: Some(Clip::Value(0.1)), optimizer: RmsProp::new(0.1).into(), ..Settings::default() };
    let half = Settings { amp: true, ..value.clone() };
    [Settings { optimizer, label_smoothing: 0.1, ..all }, value, half]
}

fn overlap(a: &Region, b: &Region) -> bool {
    a.role == b.role && a.offset < b.offset + b.size && b.offset < a.offset + a.size
}

#[test]
fn a_dispatch_binds_disjoint_ranges_inside_of_buffers() {
    for target in targets() {
        for plan in training_plans(&target) {
            for dispatch in &plan.dispatches {
                let bindings = &dispatch.bindings;
                assert!(bindings.len() <= 8, "{}", dispatch.title());
                for (index, region) in bindings.iter().enumerate() {
                    assert_eq!(region.offset % 256, 0);
                    let end = region.offset + region.size;
                    assert!(end <= plan.buffers[&region.role], "{} {region:?}", dispatch.title());
                    let aliased = bindings[..index].iter().find(|other| overlap(other, region));
                    assert!(aliased.is_none(), "{} binds {region:?} twice", dispatch.title());
                }
            }
        }
    }
}

/// Whatever a dispatch reads must not have been overwritten by another tensor since it was written.
#[test]
fn no_tensor_is_overwritten_while_it_is_needed() {
    for target in targets() {
        for plan in training_plans(&target) {
            let mut lives: HashMap<Operand, (usize, usize, Region)> = HashMap::new();
            for (index, dispatch) in plan.dispatches.iter().enumerate() {
                for (operand, region) in dispatch.launch.operands.iter().zip(&dispatch.bindings) {
                    if matches!(region.role, Role::Activations(_)) {
                        lives.entry(*operand).or_insert((index, index, region.clone())).1 = index;
                    }
                }
            }
            let lives: Vec<_> = lives.into_iter().collect();
            for (index, (a, (first, last, region))) in lives.iter().enumerate() {
                for (b, (other_first, other_last, other)) in &lives[..index] {
                    let together = first <= other_last && other_first <= last;
                    // Views of one tensor are two operands at one place.
                    let views = region.offset == other.offset && region.size == other.size;
                    assert!(
                        !together || views || !overlap(region, other),
                        "{a:?} and {b:?} at {region:?} and {other:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn memory_is_near_its_lower_bound() {
    for target in targets() {
        for plan in training_plans(&target) {
            let activations = plan.activations();
            assert!(activations >= plan.lower_bound);
            assert!(activations as f64 <= 1.10 * plan.lower_bound as f64, "{activations} against {}", plan.lower_bound);
        }
    }
}

/// Columns are rounded up to whole panels: few channels of large images must not grow beyond what can be bound.
#[test]
fn columns_of_large_images_stay_within_a_binding() {
    let target = Target { lanes: Some(8), algorithm: Some(Algorithm::Columns), ..Target::portable(Class::Cpu) };
    for (x, w) in [
        ([1, 1, 1024, 1024], [1, 1, 2, 4]),
        ([3, 8, 900, 900], [1, 8, 1, 1]),
        ([1, 1, 700, 700], [40, 1, 4, 2]),
        ([700, 2, 16, 16], [2, 2, 2, 2]),
    ] {
        let mut graph = Graph::new();
        let x = graph.input("x", &x, DType::F32).unwrap();
        let w = graph.input("w", &w, DType::F32).unwrap();
        let y = graph.conv2d(x, w, None, Conv2d::default()).unwrap();
        let shape = graph.shape(y).to_vec();
        let seed = graph.input("dy", &shape, DType::F32).unwrap();
        let derived = differentiate_from(&graph, &[(y, seed)], &[x, w]).unwrap();
        let outputs: Vec<_> = derived.grads.iter().flatten().copied().chain([y]).collect();
        let plan = Plan::new(&Program::new("columns", derived.graph, &outputs), &target).unwrap();
        let kernels: BTreeSet<_> = plan.dispatches.iter().map(|dispatch| dispatch.launch.kernel.name).collect();
        assert!(kernels.contains("matmul_panels"), "{kernels:?}");
        let largest = plan.dispatches.iter().flat_map(|dispatch| &dispatch.bindings).map(|region| region.size).max();
        assert!(largest.unwrap() <= target.max_binding, "{largest:?}");
    }
}

/// Every network at its own size, alone and in a batch, kept and computed again.
#[test]
fn memory_of_large_networks_is_near_its_lower_bound() {
    // One buffer holds them all: what is cut into several cannot always be filled.
    let target = Target { lanes: Some(8), max_buffer: 1 << 40, ..Target::portable(Class::Cpu) };
    for (name, build, classes) in models::MODELS {
        let model = build(*classes);
        let dataset = blank::dataset(model.default_input(), 8, 1);
        for (batch_size, recompute) in [(1, false), (8, false), (8, true)] {
            let program = |batch_size| {
                let settings = Settings { batch_size, recompute, ..Settings::default() };
                training_program(&model, &dataset, &settings)
            };
            // A single image has no variance where it has a single pixel.
            let program = program(batch_size).or_else(|_| program(2)).unwrap();
            let plan = Plan::new(&program, &target).unwrap_or_else(|error| panic!("{name}: {error}"));
            let (bytes, bound) = (plan.activations(), plan.lower_bound);
            assert!(bytes >= bound && bytes as f64 <= 1.10 * bound as f64, "{name}: {bytes} against {bound}");
        }
    }
}

#[test]
fn equal_programs_have_equal_plans() {
    for target in targets() {
        assert_eq!(training_plans(&target), training_plans(&target));
    }
}

#[test]
fn a_parameter_of_which_no_row_fits_is_refused_by_name() {
    let target = Target { max_binding: 1024, ..Target::portable(Class::Other) };
    let network = models::lenet5(10).trace(1, [1, 28, 28]).unwrap();
    let error = Plan::new(&Program::new("small", network.graph, &[network.logits]), &target).unwrap_err().to_string();
    assert!(error.contains("fc1.weight") && error.contains("1600") && error.contains("1024"), "{error}");
}

#[test]
fn an_activation_of_which_no_sample_fits_is_refused_with_its_layer() {
    let target = Target { max_binding: 16 << 10, ..Target::portable(Class::Other) };
    let network = models::lenet5(10).trace(64, [1, 28, 28]).unwrap();
    let error = Plan::new(&Program::new("small", network.graph, &[network.logits]), &target).unwrap_err().to_string();
    assert!(error.contains("relu1") || error.contains("conv1"), "{error}");
}

/// Forward and backward of a global average take a dispatch each.
#[test]
fn a_global_average_is_one_dispatch() {
    for extent in [7, 8] {
        for planes in [[1, 3], [64, 2048]] {
            let mut graph = Graph::new();
            let [x, dy] = [("x", extent), ("dy", 1)]
                .map(|(name, extent)| graph.input(name, &[planes[0], planes[1], extent, extent], DType::F32).unwrap());
            let y = graph.global_avg_pool2d(x).unwrap();
            let derived = differentiate_from(&graph, &[(y, dy)], &[x]).unwrap();
            let program = Program::new("average", derived.graph, &[y, derived.grads[0].unwrap()]);
            for target in targets() {
                let kernels: Vec<&str> =
                    Plan::new(&program, &target).unwrap().kernels().map(|kernel| kernel.name).collect();
                assert_eq!(kernels, ["reduce", "avg_pool_backward"]);
            }
        }
    }
}

/// naga accepts every shader as it stands, and as the tables configure it for every kind of adapter, baked or not.
#[test]
fn all_shaders_are_valid_in_every_configuration() {
    let check = |name: &str, text: &str| {
        let module = naga::front::wgsl::parse_str(text)
            .unwrap_or_else(|error| panic!("{name}: {}\n{text}", error.emit_to_string(text)));
        let mut validator =
            naga::valid::Validator::new(naga::valid::ValidationFlags::all(), naga::valid::Capabilities::all());
        validator
            .subgroup_stages(naga::valid::ShaderStages::all())
            .subgroup_operations(naga::valid::SubgroupOperationSet::all());
        validator.validate(&module).unwrap_or_else(|error| panic!("{name}: {}\n{text}", error.emit_to_string(text)));
    };
    for (name, text) in SOURCES {
        // naga knows the builtins of the extension but not its name.
        check(name, &text.replace("enable subgroups;", ""));
    }
    let mut seen = BTreeSet::new();
    for target in targets() {
        let mut plans = training_plans(&target);
        for case in cases().unwrap() {
            let derived = case.differentiated().unwrap();
            let outputs: Vec<_> = derived.grads.iter().flatten().copied().chain([case.output]).collect();
            let target = Target { algorithm: case.algorithm, ..target.clone() };
            for half in [Half::Never, Half::Everything] {
                let program = Program { half, ..Program::new(&case.name, derived.graph.clone(), &outputs) };
                plans.push(Plan::new(&program, &target).unwrap());
            }
        }
        let mut tiles = BTreeSet::new();
        for launch in plans.iter().flat_map(|plan| &plan.dispatches).map(|dispatch| &dispatch.launch) {
            let extent = |name| launch.kernel.defines.iter().find(|(other, _)| *other == name).map(|(_, value)| value);
            let tile = Some((launch.kernel.name, launch.kernel.parts)).zip(extent("BM")).zip(extent("BN"));
            // Whoever has matrices of 16 bits needs other tiles for 32.
            tiles.extend(tile.filter(|(((_, parts), _), _)| parts.is_some() != target.cooperative.is_empty()));
            let dims = target.bake.then_some(&launch.dims[..]);
            // Baked dimensions change numbers only: one text of each kernel and configuration is enough.
            if seen.insert(format!("{:?} {}", launch.kernel, dims.is_some())) {
                check(launch.kernel.name, &assemble(&launch.kernel, dims, target.images).unwrap());
            }
        }
        // The cases reach every size of tile of the three kernels that have them.
        let sizes = match target.class {
            Class::Cpu => 0,
            Class::Integrated | Class::Other => 2,
            Class::Discrete => 4,
        };
        assert_eq!(tiles.len(), 3 * sizes, "{target:?}: {tiles:?}");
    }
    let used: BTreeSet<&str> = SOURCES
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| seen.iter().any(|key| key.contains(&format!("{name:?}"))))
        .collect();
    let unused: Vec<&&str> = SOURCES.iter().map(|(name, _)| name).filter(|name| !used.contains(*name)).collect();
    // `copy` and `peak` measure what an adapter can do at most.
    assert_eq!(unused, [&"copy", &"peak", &"record"], "kernels that no configuration uses");
}

/// wgpu's own validation of every pipeline, binding and dispatch of a step, on a device without a driver and with the
/// limits that WebGPU promises.
#[test]
fn plans_run_on_a_device_that_does_nothing() {
    let required_features = wgpu::Features::SHADER_F16;
    let descriptor = wgpu::DeviceDescriptor { required_features, ..Default::default() };
    let (device, queue) = wgpu::Device::noop(&descriptor);
    let gpu = Gpu::from_wgpu(device, queue);
    for (name, build, _) in small_models() {
        let model = build(10);
        let digits = data::digits().fit(model.default_input()).unwrap();
        let program = training_program(&model, &digits, &Settings::default()).unwrap();
        pollster::block_on(async {
            let runner = Runner::new(&gpu, &program).await.unwrap_or_else(|error| panic!("{name}: {error}"));
            runner.run().unwrap();
        });
    }
    let model = models::lenet5(10);
    let digits = data::digits().fit(model.default_input()).unwrap();
    for settings in with_options() {
        let program = training_program(&model, &digits, &settings).unwrap();
        pollster::block_on(Runner::new(&gpu, &program)).unwrap().run().unwrap();
    }
    gpu.check().unwrap();
}
