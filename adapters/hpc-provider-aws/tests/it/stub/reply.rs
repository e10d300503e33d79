//! Answers in EC2's XML.

use jiff::Timestamp;

use super::cloud::{Answer, Machine};

/// In this account the names are not in the order of the ids: a name says nothing elsewhere.
pub(crate) fn zone_id(name: &str) -> &'static str {
    match name {
        "us-east-1a" => "use1-az4",
        "us-east-1b" => "use1-az6",
        _ => "use1-az1",
    }
}

pub(crate) fn wrapped(action: &str, body: &str) -> Answer {
    let space = "http://ec2.amazonaws.com/doc/2016-11-15/";
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{action}Response xmlns=\"{space}\"><requestId>r-1</requestId>{body}\
         </{action}Response>"
    );
    (200, text)
}

pub(crate) fn refusal(status: u16, code: &str, message: &str) -> Answer {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>{code}</Code>\
         <Message>{message}</Message></Error></Errors><RequestID>r-1</RequestID></Response>"
    );
    (status, text)
}

pub(crate) fn instances_page(
    action: &str,
    machines: &[&Machine],
    now: Timestamp,
    next: Option<&str>,
) -> Answer {
    let items: String = machines.iter().map(|machine| instance(machine, now)).collect();
    if action == "RunInstances" {
        let body = format!(
            "<reservationId>r-1</reservationId><ownerId>1</ownerId><instancesSet>{items}</instancesSet>"
        );
        return wrapped(action, &body);
    }
    let next = next.map_or(String::new(), |next| format!("<nextToken>{next}</nextToken>"));
    let body = format!(
        "<reservationSet><item><reservationId>r-1</reservationId><instancesSet>{items}</instancesSet></item>\
         </reservationSet>{next}"
    );
    wrapped(action, &body)
}

fn instance(machine: &Machine, now: Timestamp) -> String {
    let Machine { id, token, instance_type, zone, spot, reserved, tags, created_at, end } = machine;
    let tags: String = tags
        .iter()
        .map(|(key, value)| {
            format!("<item><key>{}</key><value>{}</value></item>", escape(key), escape(value))
        })
        .collect();
    let lifecycle = match reserved {
        _ if *spot => "<instanceLifecycle>spot</instanceLifecycle>",
        Some((_, _, true)) => "<instanceLifecycle>capacity-block</instanceLifecycle>",
        _ => "",
    };
    let reserved = reserved.as_ref().map_or(String::new(), |(id, named, _)| {
        let asked = if *named {
            format!(
                "<capacityReservationTarget><capacityReservationId>{id}</capacityReservationId>\
                 </capacityReservationTarget>"
            )
        } else {
            "<capacityReservationPreference>open</capacityReservationPreference>".to_owned()
        };
        format!(
            "<capacityReservationId>{id}</capacityReservationId><capacityReservationSpecification>{asked}\
             </capacityReservationSpecification>"
        )
    });
    let end = end.map_or(String::new(), |(at, code)| {
        let reason = match code {
            "Client.UserInitiatedShutdown" => {
                format!("User initiated ({} GMT)", at.strftime("%Y-%m-%d %H:%M:%S"))
            }
            code => format!("{code}: Spot instance termination"),
        };
        format!(
            "<reason>{reason}</reason><stateReason><code>{code}</code><message>{code}</message></stateReason>"
        )
    });
    format!(
        "<item><instanceId>{id}</instanceId><instanceState><code>0</code><name>{}</name></instanceState>\
         <instanceType>{instance_type}</instanceType><launchTime>{created_at}</launchTime>\
         <placement><availabilityZone>{zone}</availabilityZone></placement><clientToken>{token}</clientToken>\
         {lifecycle}{reserved}{end}<tagSet>{tags}</tagSet></item>",
        machine.state(now)
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
