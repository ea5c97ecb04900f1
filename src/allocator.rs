//! Memory of an instance. It serves one request and is gone, and all of its memory with it.
//!
//! So nothing is given back on the way: to keep account of what is free would be a sixth of all that the guest does. An
//! event leaves some 100 KB behind, one of the largest size at most half as much again as it needs at once; the contract
//! tests hold both. A host that served many requests in one instance would see it grow by as much with each. Spin makes
//! an instance for each.

use std::alloc::{GlobalAlloc, Layout, System};

/// The C library's allocator, of which nothing is given back but what has grown out of its place.
pub struct OneRequest;

// SAFETY: every piece comes from `System`, with the layout that is asked for, and none is handed out twice.
unsafe impl GlobalAlloc for OneRequest {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}

    unsafe fn realloc(&self, piece: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        unsafe { System.realloc(piece, layout, size) }
    }
}
