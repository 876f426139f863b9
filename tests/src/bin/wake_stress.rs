//! One thread wakes a thousand parked tasks, as often as the argument says (ten million, if it
//! says nothing), and this prints what that took. To see the system calls:
//! `strace -c -f target/release/wake_stress 10000000`.

use std::time::Instant;

use gather_tests::wake_storm::storm;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let wakes = std::env::args().nth(1).map_or(Ok(10_000_000), |count| count.parse())?;
    let start = Instant::now();
    let report = storm(wakes);
    let rings = report.rings.map_or("uncounted".to_owned(), |rings| rings.to_string());
    println!("wakes {}, parks {}, rings {rings}, {:?}", report.wakes, report.parks, start.elapsed());
    Ok(())
}
