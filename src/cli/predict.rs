//! `wgrad predict`: what is on pictures.

use super::picture::{Picture, across, strip};
use super::weights::Trained;
use super::{Context, classify, out, reading, weights};
use image::imageops::{FilterType, resize};
use image::{DynamicImage, ImageReader, Rgba};
use serde_json::json;
use std::io::IsTerminal;
use std::ops::Range;
use std::path::{Path, PathBuf};
use wgrad::data::{Images, Need};
use wgrad::train::read_weights;
use wgrad::{Error, Result};

#[derive(clap::Args)]
pub struct Options {
    #[command(flatten)]
    weights: weights::Options,
    /// PNG or JPEG files
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// The data set whose classes and normalisation are meant, for weights that another program saved
    #[arg(long)]
    data: Option<String>,
    #[command(flatten)]
    reading: reading::Options,
    /// How many classes to name
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    top: u64,
    /// Turn dark into light first: digits, mnist and their like are white on black
    #[arg(long)]
    invert: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(context: &Context, options: &Options) -> Result<u8> {
    // Of weights that another program saved nothing is known yet.
    let input = read_weights(&options.weights.weights).ok().map(|weights| weights.input);
    let model = options.weights.model.as_deref().filter(|_| input.is_none());
    let open = |data: &str| reading::open(data, &options.reading, None, model, Need::Names);
    let dataset = options.data.as_deref().filter(|_| input.is_none()).map(open).transpose()?;
    let mut network = options.weights.load(dataset.as_ref())?;
    options.reading.adapt(&mut network)?;
    let mut images = Images { shape: network.input, pixels: vec![], labels: vec![0; options.images.len()] };
    for path in &options.images {
        images.pixels.extend(read(path, network.input, options.invert)?);
    }
    let gpu = context.gpu()?;
    let batch = images.len().min(64);
    let size: usize = images.shape.iter().product();
    let read = |places: Range<usize>| Ok(images.pixels[places.start * size..places.end * size].to_vec());
    let logits = classify::logits(&gpu, &mut network, images.len(), read, batch, |_| ())?;
    let ranked: Vec<_> = logits.iter().map(|logits| ranking(logits, options.top)).collect();
    match options.json {
        true => out::json(&as_json(&network, &options.images, &ranked))?,
        false => report(&network, options, &images, &ranked)?,
    }
    Ok(0)
}

/// Classes with their probabilities, the likeliest first.
type Ranking = Vec<(usize, f64)>;

fn ranking(logits: &[f32], top: u64) -> Ranking {
    let mut classes: Ranking = classify::softmax(logits).into_iter().enumerate().collect();
    classes.sort_by(|a, b| b.1.total_cmp(&a.1));
    classes.truncate(usize::try_from(top).unwrap_or(usize::MAX));
    classes
}

fn report(network: &Trained, options: &Options, images: &Images, ranked: &[Ranking]) -> Result<()> {
    if std::io::stdout().is_terminal() {
        let picture = |index: usize| {
            let caption = network.classes[ranked[index][0].0].clone();
            Picture { pixels: images.image(index), shape: images.shape, caption, right: None }
        };
        let pictures: Vec<Picture> = (0..images.len()).map(picture).collect();
        for row in pictures.chunks(across()) {
            out::print(strip(row))?;
        }
    }
    let width = options.images.iter().map(|path| path.display().to_string().chars().count()).max().unwrap_or(0);
    for (path, ranking) in options.images.iter().zip(ranked) {
        let likely =
            |(class, probability): &(usize, f64)| format!("{} {:.2} %", network.classes[*class], 100.0 * probability);
        let classes: Vec<String> = ranking.iter().map(likely).collect();
        out::print(format_args!("{:width$}  {}", path.display().to_string(), classes.join("   ")))?;
    }
    Ok(())
}

fn as_json(network: &Trained, paths: &[PathBuf], ranked: &[Ranking]) -> serde_json::Value {
    let class =
        |&(class, probability): &(usize, f64)| json!({"class": network.classes[class], "probability": probability});
    let image = |(path, ranking): (&PathBuf, &Ranking)| json!({"file": path.display().to_string(), "predictions": ranking.iter().map(class).collect::<Vec<_>>()});
    json!(paths.iter().zip(ranked).map(image).collect::<Vec<_>>())
}

/// The pixels `[C,H,W]` of the picture at `path`, in the size that the network takes. What is transparent becomes white.
fn read(path: &Path, [channels, height, width]: [usize; 3], invert: bool) -> Result<Vec<u8>> {
    let opened = ImageReader::open(path).and_then(ImageReader::with_guessed_format);
    let reader = opened.map_err(|error| Error::io(path, "read", error))?;
    let wrong = |message: String| Error::format(path, format!("{message}; PNG and JPEG files are read"));
    let picture = match reader.decode() {
        Ok(picture) => picture,
        Err(image::ImageError::IoError(error)) if error.kind() != std::io::ErrorKind::UnexpectedEof => {
            return Err(Error::io(path, "read", error));
        }
        Err(error) => return Err(wrong(error.to_string())),
    };
    let mut picture = on_white(picture);
    if invert {
        picture.invert();
    }
    let (height, width) = (height as u32, width as u32);
    match channels {
        1 => Ok(resize(&picture.to_luma8(), width, height, FilterType::Triangle).into_raw()),
        3 => {
            let pixels = resize(&picture.to_rgb8(), width, height, FilterType::Triangle).into_raw();
            Ok((0..3).flat_map(|channel| pixels.iter().skip(channel).step_by(3).copied()).collect())
        }
        _ => Err(wrong(format!("the network takes {channels} channels; pictures have 1 or 3"))),
    }
}

fn on_white(picture: DynamicImage) -> DynamicImage {
    if !picture.color().has_alpha() {
        return picture;
    }
    let mut picture = picture.to_rgba8();
    for Rgba([r, g, b, alpha]) in picture.pixels_mut() {
        let over =
            |part: u8| ((u16::from(part) * u16::from(*alpha) + 255 * (255 - u16::from(*alpha)) + 127) / 255) as u8;
        [*r, *g, *b] = [*r, *g, *b].map(over);
        *alpha = 255;
    }
    picture.into()
}
