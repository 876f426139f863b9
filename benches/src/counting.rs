//! How often the work of `limit.rs` allocates memory, with the peer that the argument names.
//! `compare` starts this program for its row `allocs 256`: the counting allocator is linked only
//! here.

mod limit;

fn main() -> Result<(), String> {
    let peer = std::env::args().nth(1).ok_or("the name of a peer is missing")?;
    let mut run = limit::runner(&peer).ok_or(format!("{peer} has no limit"))?;
    println!("{}", allocation_counter::measure(&mut run).count_total);
    Ok(())
}
