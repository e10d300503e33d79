//! Security and identity.

use super::Outcome;

#[test]
fn hpc_auth() -> Outcome {
    use hpc_auth::server::create_server_config_with_client_auth;
    // begin
    use hpc_auth::cert::{ServiceIdentity, generate_ca_cert, generate_signed_cert};

    // Generate CA and service certificates
    let ca = generate_ca_cert("StratoSwarm CA")?;
    let service = ServiceIdentity::new("my-service");
    let cert = generate_signed_cert(&service, &ca)?;

    // Create mTLS server config
    let server_config = create_server_config_with_client_auth(&cert, &ca)?;
    // end
    assert_eq!(cert.id().as_str(), "spiffe://hpc.internal/service/my-service");
    assert!(!server_config.ignore_client_order);
    Ok(())
}

#[test]
fn hpc_crypto() -> Outcome {
    // begin
    use hpc_crypto::merkle::MerkleTree;
    use hpc_crypto::signing::KeyPair;

    // Digital signatures
    let keypair = KeyPair::generate();
    let signature = keypair.sign(b"message");
    assert!(keypair.verify(b"message", &signature));

    // Merkle trees for audit trails
    let tree = MerkleTree::from_leaves(&[b"tx1", b"tx2", b"tx3"]);
    let proof = tree.prove(1)?;
    assert!(tree.verify(&proof, b"tx2"));
    // end
    assert!(!keypair.verify(b"massage", &signature) && !tree.verify(&proof, b"tx3"));
    assert!(tree.prove(3).is_err());
    Ok(())
}

#[test]
fn hpc_vault() -> Outcome {
    // begin
    use hpc_vault::{MasterKey, VaultEncryption};

    // Derive master key from passphrase
    let master_key = MasterKey::from_passphrase("passphrase", b"salt")?;
    let vault = VaultEncryption::new(master_key);

    // Encrypt/decrypt credentials
    let encrypted = vault.encrypt(b"aws-secret-key")?;
    let decrypted = vault.decrypt(&encrypted)?;
    // end
    assert_eq!(decrypted.expose(), b"aws-secret-key");
    let other = VaultEncryption::new(MasterKey::from_passphrase("passphrase", b"pepper")?);
    assert!(other.decrypt(&encrypted).is_err());
    Ok(())
}

#[test]
fn hpc_policy() -> Outcome {
    use hpc_policy::{Decision, Principal, Resource};
    let (principal, resource) =
        (Principal::user("alice").with_role("gpu-user"), Resource::new("job", "jobs/train-1"));
    // begin
    use hpc_policy::{EvaluationContext, evaluate, parse_policy};

    let policy = r#"
apiVersion: policy.horizon.dev/v1
kind: Policy
metadata:
  name: gpu-access
spec:
  principals:
    - type: role
      value: gpu-user
  resources:
    - type: job
      pattern: "jobs/*"
  actions: ["read", "execute"]
  effect: allow
"#;

    let policy = parse_policy(policy)?;
    let ctx = EvaluationContext::new(principal, resource, "execute");
    let allowed = evaluate(&policy, &ctx)?;
    // end
    assert!(allowed.is_allowed());
    let ctx = EvaluationContext::new(Principal::user("bob"), Resource::new("job", "jobs/train-1"), "execute");
    let denied: Decision = evaluate(&policy, &ctx)?;
    assert!(!denied.is_allowed());
    Ok(())
}
