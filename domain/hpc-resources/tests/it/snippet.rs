//! The specification's call, word for word.

use hpc_resources::{GpuVendor, RequestPriority, ResourceRequest, ResourceSpec, ResourceUnit};

#[test]
fn the_published_example_compiles_and_holds() -> Result<(), Box<dyn std::error::Error>> {
    let request = ResourceRequest::new("gpu-job")
        .add_gpu_nvidia_h100(4)
        .add_memory(128, ResourceUnit::GB)
        .add_storage(1, ResourceUnit::TB)
        .with_priority(RequestPriority::High)
        .build()?;
    let (model, count) = request.accelerators().unwrap();
    assert_eq!((model.vendor(), count), (GpuVendor::Nvidia, 4));
    assert_eq!(request.memory().0, 128_000_000_000);
    assert!(
        request
            .resources()
            .iter()
            .any(|have| matches!(have, ResourceSpec::Storage(size) if size.0 == 1_000_000_000_000))
    );
    assert_eq!(request.priority(), RequestPriority::High);
    Ok(())
}
