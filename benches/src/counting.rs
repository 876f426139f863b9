//! How often the work of `limit.rs` allocates memory, with the contender that the argument names.
//! `compare` starts this program for its row `allocs 256`: the counting allocator is linked only
//! here.

mod limit;

fn main() -> Result<(), String> {
    let contender = std::env::args().nth(1).ok_or("the name of a contender is missing")?;
    let mut run = limit::runner(&contender).ok_or(format!("{contender} has no limit"))?;
    println!("{}", allocation_counter::measure(&mut run).count_total);
    Ok(())
}
