//! The component's reader against the SDK's own, where both have to agree.
