//! The wrappers of `hpc-layers` keep the contract of what they wrap: the provider suite, over the cloud in memory.
//!
//! Here and not in `hpc-layers`, because siblings do not meet in an adapter's tests.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hpc_conformance::provider::{Rig, Trouble};
use hpc_layers::{
    Answered, Cached, CatalogMeter, Deadline, Failure, Keep, Limits, Meter, Metered, Paced, Paces,
    RetryPolicy, Retrying, Verb,
};
use hpc_memory::provider::{MemoryProvider, ProviderFault};
use hpc_provider::CapacityProvider;
use hpc_resources::ResourceRequest;
use jiff::Timestamp;

struct Wrapped {
    cloud: Arc<MemoryProvider>,
    provider: Arc<dyn CapacityProvider>,
    /// Whether a lost answer comes out as an error; a retry finds it again.
    shows_losses: bool,
}

impl Wrapped {
    fn new<P: CapacityProvider + 'static>(
        wrap: impl FnOnce(Arc<MemoryProvider>) -> P,
        shows_losses: bool,
    ) -> Self {
        let cloud = Arc::new(MemoryProvider::seeded(7));
        Self { provider: Arc::new(wrap(Arc::clone(&cloud))), cloud, shows_losses }
    }
}

#[async_trait]
impl Rig for Wrapped {
    fn provider(&self) -> Arc<dyn CapacityProvider> {
        Arc::clone(&self.provider)
    }
    fn now(&self) -> Timestamp {
        self.cloud.now()
    }
    async fn pass(&self, by: Duration) {
        self.cloud.advance(by);
    }
    fn request(&self) -> ResourceRequest {
        ResourceRequest::new("suite").add_gpu_nvidia_h100(8).build().unwrap()
    }
    fn instances_max(&self) -> u32 {
        7
    }
    async fn bring(&self, trouble: Trouble) -> bool {
        match trouble {
            Trouble::NoStock(offer) => self.cloud.set_stock(&offer.key(), 0),
            Trouble::NoQuota(offer) => self.cloud.set_quota(&offer.quota.unwrap().family, 0),
            Trouble::LoseNextCreate | Trouble::LoseNextAnswer if !self.shows_losses => return false,
            Trouble::LoseNextCreate => self.cloud.fail_next(ProviderFault::LostBefore),
            Trouble::LoseNextAnswer => self.cloud.fail_next(ProviderFault::LostAfter),
            Trouble::Reclaim(handle) => return self.cloud.reclaim(&handle),
        }
        true
    }
}

mod deadline {
    use super::*;
    hpc_conformance::capacity_provider!(async {
        Some(Wrapped::new(|cloud| Deadline::new(cloud, Limits::default()), true))
    });
}

mod retrying {
    use super::*;
    hpc_conformance::capacity_provider!(async {
        Some(Wrapped::new(|cloud| Retrying::new(cloud, RetryPolicy::default(), 7), false))
    });
}

mod as_apps_wrap {
    use super::*;
    hpc_conformance::capacity_provider!(async {
        let wrap = |cloud| Retrying::new(Deadline::new(cloud, Limits::default()), RetryPolicy::default(), 7);
        Some(Wrapped::new(wrap, false))
    });
}

/// Counts, so that there is somebody to be told.
#[derive(Default)]
struct Counted(std::sync::atomic::AtomicU64);

impl Meter for Counted {
    fn called(&self, _: Verb, _: Failure, _: Duration) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

impl CatalogMeter for Counted {
    fn answered(&self, _: Answered, _: Option<Duration>) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

mod cached {
    use super::*;
    hpc_conformance::capacity_provider!(async {
        Some(Wrapped::new(|cloud| Cached::new(cloud, Keep::default(), Counted::default()), true))
    });
}

mod as_a_daemon_wraps {
    use super::*;
    hpc_conformance::capacity_provider!(async {
        let wrap = |cloud| {
            let limited = Deadline::new(cloud, Limits::default());
            let paced = Paced::new(Metered::new(limited, Counted::default()), Paces::default());
            Cached::new(paced, Keep::default(), Counted::default())
        };
        Some(Wrapped::new(wrap, true))
    });
}
