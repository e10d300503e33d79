//! Cloud and resources.

use std::io::{Read, Write};
use std::net::TcpListener;

use super::Outcome;

mod provider {
    use std::sync::Arc;

    use async_trait::async_trait;
    use hpc_memory::provider::MemoryProvider;
    use hpc_provider::{ProvisionResult, Quote, Result, SpotPrices};

    /// Signs in to a cloud; here, to one in memory.
    struct AwsProvider {
        cloud: MemoryProvider,
    }

    // begin
    use hpc_provider::{CapacityProvider, ProvisionSpec, QuoteRequest};

    #[async_trait]
    impl CapacityProvider for AwsProvider {
        async fn get_quote(&self, request: &QuoteRequest) -> Result<Quote> {
            // Get pricing for instances
            self.cloud.get_quote(request).await
        }

        async fn provision(&self, spec: &ProvisionSpec) -> Result<ProvisionResult> {
            // Provision cloud instances
            self.cloud.provision(spec).await
        }

        async fn check_spot_prices(&self, instance_type: &str, region: &str) -> Result<SpotPrices> {
            // Check spot market
            self.cloud.check_spot_prices(instance_type, region).await
        }
    }
    // end

    #[tokio::test]
    async fn hpc_provider() {
        let provider: Arc<dyn CapacityProvider> = Arc::new(AwsProvider { cloud: MemoryProvider::seeded(7) });
        let request = hpc_resources::ResourceRequest::new("job").add_gpu_nvidia_h100(8).build().unwrap();
        let now = "2026-11-01T00:00:00Z".parse().unwrap();
        let quote = provider.get_quote(&QuoteRequest { request, now }).await.unwrap();
        assert!(!quote.offers.is_empty());
        // Three methods may be asked; to create on it, it would have to find and release as well.
        assert!(!provider.describe().supports.safe_to_create());
    }
}

#[test]
fn hpc_resources() -> Outcome {
    // begin
    use hpc_resources::{GpuVendor, ResourceRequest, ResourceSpec};
    // end
    use hpc_resources::{RequestPriority, ResourceUnit};
    // begin
    let request = ResourceRequest::new("gpu-job")
        .add_gpu_nvidia_h100(4)
        .add_memory(128, ResourceUnit::GB)
        .add_storage(1, ResourceUnit::TB)
        .with_priority(RequestPriority::High)
        .build()?;
    // end
    let (model, count) = request.accelerators().unwrap();
    assert_eq!((model.vendor(), count), (GpuVendor::Nvidia, 4));
    let storage =
        |have: &&ResourceSpec| matches!(have, ResourceSpec::Storage(size) if size.0 == 1_000_000_000_000);
    assert_eq!(request.resources().iter().filter(storage).count(), 1);
    Ok(())
}

#[tokio::test]
async fn hpc_tsdb() -> Outcome {
    use hpc_tsdb::Aggregation;
    let (url, asked) = influxdb([
        r#"{"results":[{"series":[{"name":"gpu_metrics","columns":["fieldKey","fieldType"],"values":[["power_watts","float"]]}]}]}"#,
        r#"{"results":[{"statement_id":0,"series":[{"name":"gpu_metrics","tags":{"host":"server-01"},
            "columns":["time","mean"],"values":[[60000000000,351.5]]}]}]}"#,
    ]);
    // begin
    use hpc_tsdb::{InfluxDbClient, QueryBuilder, TimeRange};

    let client = InfluxDbClient::new(url, "token")?;

    let query = QueryBuilder::new("gpu_metrics")
        .filter("host", "server-01")
        .range(TimeRange::last_hour())
        .aggregate(Aggregation::Mean, "1m")
        .build();

    let series = client.query(query).await?;
    // end
    let sample = &series.series[0].samples[0];
    assert_eq!(sample.as_f64(), Some(351.5));
    let asked = asked.join().unwrap();
    assert!(asked[0].to_lowercase().contains("authorization: token token"), "{asked:?}");
    assert!(asked[1].contains("server-01") && asked[1].to_lowercase().contains("mean"), "{asked:?}");
    Ok(())
}

/// A server that gives recorded answers, and at its end what it was asked.
fn influxdb<const N: usize>(answers: [&'static str; N]) -> (String, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = std::thread::spawn(move || {
        let mut asked = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut text, mut part) = (String::new(), [0; 4096]);
            loop {
                let count = stream.read(&mut part).unwrap();
                text.push_str(std::str::from_utf8(&part[..count]).unwrap());
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                let length = head
                    .lines()
                    .find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned));
                if count == 0 || body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                    break;
                }
            }
            asked.push(text);
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", answer.len());
            stream.write_all(format!("{head}{answer}").as_bytes()).unwrap();
        }
        asked
    });
    (url, serving)
}
