//! Scopes.

use gather::{run, scope, yield_now};
use std::cell::Cell;
#[test]
fn t() {
    let mut x = 1;
    let y = Cell::new(3);
    let r: Result<i32, String> = run(scope(async |s| {
        s.spawn(async {
            x += 1;
            Ok(())
        });
        s.spawn(async {
            y.set(4);
            s.spawn(async {
                y.set(y.get() + 1);
                Ok(())
            });
            Ok(())
        });
        yield_now().await;
        Ok(7)
    }));
    assert_eq!((r, x, y.get()), (Ok(7), 2, 5));
}
