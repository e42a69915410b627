//! Defences that a test leaves out, to show that the attack they stop is seen without them. In a product none can be left
//! out: there a set of weaknesses has no bits, and asking for one is always answered with no.

/// A defence that is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(any(test, feature = "test-support")),
    expect(unreachable_pub, reason = "only tests name it")
)]
pub enum Weakness {
    /// What comes back from the destination of a secret is handed on as it is.
    ResponsesAsTheyAre,
    /// The pieces of such a body are searched one by one.
    PiecesAlone,
    /// Encoded and partial answers from there are handed on like others.
    EncodedPasses,
    /// The guest says in which encoding, and which part, it wants from there.
    GuestOwnsHeaders,
    /// What a tool puts itself into the place of a secret goes along with it.
    ValuesJoin,
    /// A secret goes along to every destination.
    EveryDestination,
    /// What leaves a sandbox is handed out as it is: answers, failures and events.
    LeavesAsItIs,
    /// What the host writes down or tells its embedder is not searched once more.
    KeptAsItIs,
    /// An input may hold what it likes.
    ArgumentsPass,
    /// All tenants are one.
    TenantsShare,
    /// An answer that was given before a call counts for whatever the call asks.
    AnswersFit,
    /// A call waits for its answer whatever it has done already.
    WaitsAnyway,
}

/// Which defences are missing.
#[derive(Clone, Copy, Default)]
pub(crate) struct Weaknesses {
    #[cfg(any(test, feature = "test-support"))]
    bits: u32,
}

impl Weaknesses {
    /// Whether a defence is missing.
    #[cfg(any(test, feature = "test-support"))]
    pub(crate) fn has(self, weakness: Weakness) -> bool {
        self.bits & (1 << weakness as u32) != 0
    }

    /// Whether a defence is missing: never in a product.
    #[cfg(not(any(test, feature = "test-support")))]
    #[expect(
        clippy::unused_self,
        reason = "the same call as where tests can leave defences out"
    )]
    pub(crate) fn has(self, _: Weakness) -> bool {
        false
    }

    /// Leaves one more defence out.
    #[cfg(any(test, feature = "test-support"))]
    pub(crate) fn add(&mut self, weakness: Weakness) {
        self.bits |= 1 << weakness as u32;
    }
}
