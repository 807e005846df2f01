//! Memory that is a buffer and images at once, made by Vulkan and taken by wgpu.

use super::FORMATS;
use crate::gpu::Gpu;
use crate::kernels::IMAGE_ROW;
use ash::vk;
use std::sync::Arc;
use wgpu::hal;

type Vulkan = hal::api::Vulkan;

/// Bytes of memory behind a buffer, never touched, in which the last rows of images at its end lie: of the widest, a part of
/// one, one more where their number was a power of two, and three up to a multiple of four, as the driver has it.
const BEHIND: u64 = 5 * 16 * IMAGE_ROW as u64;

/// Whether buffers of a device of this adapter can be read as images.
pub fn supported(device: &wgpu::Device, info: &wgpu::AdapterInfo) -> bool {
    if !super::offered(info, &device.limits()) {
        return false;
    }
    // SAFETY: the device outlives the call.
    let Some(device) = (unsafe { device.as_hal::<Vulkan>() }) else { return false };
    let device = device.raw_device();
    FORMATS.iter().all(|&(format, texel)| {
        // SAFETY: the image is destroyed before anything can use it.
        unsafe { device.create_image(&description(vulkan_format(format), 3), None) }.is_ok_and(|image| {
            let first = vk::ImageSubresource { aspect_mask: vk::ImageAspectFlags::COLOR, ..Default::default() };
            let (layout, needs) = unsafe {
                (device.get_image_subresource_layout(image, first), device.get_image_memory_requirements(image))
            };
            unsafe { device.destroy_image(image, None) };
            let pitch = texel * u64::from(IMAGE_ROW);
            (layout.offset, layout.row_pitch) == (0, pitch)
                && crate::plan::ALIGNMENT.is_multiple_of(needs.alignment)
                && needs.size <= 4 * pitch
        })
    })
}

fn vulkan_format(format: wgpu::TextureFormat) -> vk::Format {
    match format {
        wgpu::TextureFormat::R32Float => vk::Format::R32_SFLOAT,
        wgpu::TextureFormat::Rg32Float => vk::Format::R32G32_SFLOAT,
        wgpu::TextureFormat::Rgba32Float => vk::Format::R32G32B32A32_SFLOAT,
        wgpu::TextureFormat::R32Uint => vk::Format::R32_UINT,
        wgpu::TextureFormat::Rg32Uint => vk::Format::R32G32_UINT,
        _ => vk::Format::R32G32B32A32_UINT,
    }
}

fn description(format: vk::Format, rows: u32) -> vk::ImageCreateInfo<'static> {
    vk::ImageCreateInfo::default()
        .image_type(vk::ImageType::TYPE_2D)
        .format(format)
        .extent(vk::Extent3D { width: IMAGE_ROW, height: rows, depth: 1 })
        .mip_levels(1)
        .array_layers(1)
        .samples(vk::SampleCountFlags::TYPE_1)
        .tiling(vk::ImageTiling::LINEAR)
        .usage(vk::ImageUsageFlags::STORAGE)
        .initial_layout(vk::ImageLayout::PREINITIALIZED)
}

/// Memory of which there are a buffer and images.
pub struct Shared {
    device: ash::Device,
    memory: vk::DeviceMemory,
    buffer: vk::Buffer,
    size: u64,
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: the buffer and each image hold it until wgpu has done with them.
        unsafe {
            self.device.destroy_buffer(self.buffer, None);
            self.device.free_memory(self.memory, None);
        }
    }
}

impl Shared {
    /// A buffer of zeros; `None` if there is not so much memory.
    pub fn new(gpu: &Gpu, descriptor: &wgpu::BufferDescriptor) -> Option<(wgpu::Buffer, Arc<Self>)> {
        let size = descriptor.size.next_multiple_of(4);
        // SAFETY: the device outlives the call.
        let device = unsafe { gpu.device().as_hal::<Vulkan>() }?.raw_device().clone();
        let usage = vk::BufferUsageFlags::STORAGE_BUFFER
            | vk::BufferUsageFlags::TRANSFER_SRC
            | vk::BufferUsageFlags::TRANSFER_DST;
        let info = vk::BufferCreateInfo::default().size(size).usage(usage);
        let allocation = vk::MemoryAllocateInfo::default().allocation_size(size + BEHIND);
        // SAFETY: the driver has one type of memory, the first, which the host can map. All of it is written before it is
        // used, and nothing is used that could not be made.
        let shared = unsafe {
            let memory = device.allocate_memory(&allocation, None).ok()?;
            let Ok(buffer) = device.create_buffer(&info, None) else {
                device.free_memory(memory, None);
                return None;
            };
            let shared = Self { device, memory, buffer, size };
            shared.device.bind_buffer_memory(buffer, memory, 0).ok()?;
            let bytes = shared.device.map_memory(memory, 0, vk::WHOLE_SIZE, vk::MemoryMapFlags::empty()).ok()?;
            bytes.cast::<u8>().write_bytes(0, size as usize);
            shared.device.unmap_memory(memory);
            Arc::new(shared)
        };
        let held = shared.clone();
        // SAFETY: the buffer is of this device and as described, and lives until wgpu lets go of what it holds.
        let buffer = unsafe {
            let raw = hal::vulkan::Buffer::from_raw_externally_owned(shared.buffer, Box::new(move || drop(held)));
            gpu.device().create_buffer_from_hal::<Vulkan>(raw, descriptor)
        };
        Some((buffer, shared))
    }

    /// These bytes as an image; `None` if the driver makes none.
    pub fn image(
        self: &Arc<Self>,
        gpu: &Gpu,
        offset: u64,
        size: u64,
        format: wgpu::TextureFormat,
    ) -> Option<wgpu::TextureView> {
        let texel = FORMATS.iter().find(|(other, _)| *other == format)?.1;
        let rows = size.min(self.size - offset).div_ceil(texel * u64::from(IMAGE_ROW)).max(1) as u32;
        // The driver compiles a kernel again for images whose height is a power of two.
        let rows = if rows.is_power_of_two() { (rows + 1).max(3) } else { rows };
        let extent = wgpu::Extent3d { width: IMAGE_ROW, height: rows, depth_or_array_layers: 1 };
        let descriptor = wgpu::TextureDescriptor {
            label: None,
            size: extent,
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format,
            usage: wgpu::TextureUsages::STORAGE_BINDING,
            view_formats: &[],
        };
        let raw_descriptor = hal::TextureDescriptor {
            label: None,
            size: extent,
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format,
            usage: wgpu::TextureUses::STORAGE_READ_ONLY,
            memory_flags: hal::MemoryFlags::empty(),
            view_formats: vec![],
        };
        // SAFETY: the image is of this device and as described. It lies within the memory, which it holds, and lives until
        // wgpu lets go of it.
        let texture = unsafe {
            let device = gpu.device().as_hal::<Vulkan>()?;
            let image = self.device.create_image(&description(vulkan_format(format), rows), None).ok()?;
            if self.device.bind_image_memory(image, self.memory, offset).is_err() {
                self.device.destroy_image(image, None);
                return None;
            }
            let held = self.clone();
            let gone = Box::new(move || held.device.destroy_image(image, None));
            let raw = device.texture_from_raw(image, &raw_descriptor, Some(gone), hal::vulkan::TextureMemory::External);
            drop(device);
            let state = wgpu::TextureUses::STORAGE_READ_ONLY;
            gpu.device().create_texture_from_hal::<Vulkan>(raw, &descriptor, state)
        };
        Some(texture.create_view(&wgpu::TextureViewDescriptor::default()))
    }
}
