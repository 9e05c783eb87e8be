//! What the simulated customers say. All numbers are fictional (the 555 range).

/// One message that comes in.
pub struct Scene {
    pub what: &'static str,
    pub who: &'static str,
    pub session: &'static str,
    pub from: &'static str,
    pub body: &'static str,
}

/// Each takes another way through the example workflows.
pub const MESSAGES: &[Scene] = &[
    Scene {
        what: "a question: the model answers",
        who: "customer",
        session: "support-team",
        from: "15551230101@c.us",
        body: "Hi, where is my order?",
    },
    Scene {
        what: "no question: filtered out",
        who: "customer",
        session: "support-team",
        from: "15551230102@c.us",
        body: "Thanks, it has arrived.",
    },
    Scene {
        what: "urgent: the person on call is paged",
        who: "customer",
        session: "support-team",
        from: "15551230103@c.us",
        body: "URGENT: the shop is down, can I get a refund?",
    },
    Scene {
        what: "trouble in a watched group",
        who: "in group",
        session: "support-team",
        from: "120363012345678901@g.us",
        body: "The checkout is down again, please help",
    },
    Scene {
        what: "small talk in the same group",
        who: "in group",
        session: "support-team",
        from: "120363012345678901@g.us",
        body: "Lunch at one?",
    },
];

/// The example workflows and their data, as they are in the repository.
pub const FILES: &[(&str, &str)] = &[
    ("support-reply.yaml", include_str!("../../../workflows/support-reply.yaml")),
    ("group-alert.yaml", include_str!("../../../workflows/group-alert.yaml")),
    ("weekly-broadcast.yaml", include_str!("../../../workflows/weekly-broadcast.yaml")),
    ("recipients.csv", include_str!("../../../workflows/recipients.csv")),
];
