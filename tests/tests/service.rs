//! The order service, run as its users run it.
#![cfg(target_os = "linux")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;

use treewarden_tests::processes::{Run, wait_until};

struct Shop {
    run: Run,
    address: String,
}

struct Answer {
    status: u16,
    text: String,
}

impl Answer {
    /// A number that follows `"name":`.
    fn number(&self, name: &str) -> u64 {
        let key = format!("\"{name}\":");
        let at = self
            .text
            .find(&key)
            .unwrap_or_else(|| panic!("{name} in {}", self.text));
        let digits = self.text[at + key.len()..].split(|c: char| !c.is_ascii_digit());
        digits.into_iter().next().unwrap().parse().unwrap()
    }
}

impl Shop {
    fn open() -> Shop {
        let mut run = Run::start(env!("CARGO_BIN_EXE_service"), ["127.0.0.1:0"]);
        let line = run.line_with("serving on http://");
        let address = line.trim().rsplit('/').next().unwrap().to_string();
        Shop { run, address }
    }

    fn ask(&self, request: &str) -> Answer {
        ask(&self.address, request)
    }

    /// Waits until it is known of each of these orders that it was paid.
    fn settle(&self, orders: &[u64]) {
        for order in orders {
            wait_until("the order is settled", || {
                let order = self.ask(&format!("GET /orders/{order}"));
                order.text.contains("\"state\":\"paid\"")
            });
        }
    }

    /// What is left of the tea.
    fn stock(&self) -> u64 {
        self.ask("GET /products").number("stock")
    }
}

fn ask(address: &str, request: &str) -> Answer {
    let mut stream = TcpStream::connect(address).expect("it takes connections");
    let head = "HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    write!(stream, "{request} {head}").expect("it reads");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("it answers");
    let status = text
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    Answer {
        status: status.unwrap_or_else(|| panic!("no status in {text:?}")),
        text,
    }
}

#[test]
fn a_cart_is_filled_paid_and_becomes_an_order() {
    let shop = Shop::open();
    let before = shop.stock();
    assert_eq!(shop.ask("POST /carts/7/1/2").status, 204);
    assert!(shop.ask("GET /carts/7").text.contains("[[1,2]]"));
    let paid = shop.ask("POST /carts/7/checkout");
    assert_eq!(paid.status, 201, "{}", paid.text);
    assert_eq!(paid.number("paid_cents"), 2 * 450);
    let order = shop.ask(&format!("GET /orders/{}", paid.number("order")));
    assert!(order.text.contains("\"state\":\"paid\""), "{}", order.text);
    assert_eq!(shop.stock(), before - 2);
    assert_eq!(
        shop.ask("POST /carts/7/checkout").status,
        404,
        "it is empty"
    );
    // What makes no sense is refused, and what is not there is not sold.
    assert_eq!(shop.ask("POST /carts/8/1/0").status, 400);
    shop.ask("POST /carts/8/1/1");
    shop.ask("POST /carts/8/99/1");
    let refused = shop.ask("POST /carts/8/checkout");
    assert_eq!((refused.status, refused.number("out_of_stock")), (409, 99));
    assert!(
        shop.ask("GET /carts/8").text.contains("[[1,1],[99,1]]"),
        "it was put back"
    );
    assert_eq!(shop.stock(), before - 2);
}

#[test]
fn an_overloaded_shop_answers_503_with_retry_after_and_sells_nothing_twice() {
    const CUSTOMERS: u64 = 64;
    const ROUNDS: u64 = 30;
    let shop = Shop::open();
    let before = shop.stock();
    let customers: Vec<_> = (0..CUSTOMERS)
        .map(|customer| {
            let address = shop.address.clone();
            thread::spawn(move || {
                let (mut paid, mut pending, mut refused) = (0, Vec::new(), 0);
                for round in 0..ROUNDS {
                    let cart = customer * ROUNDS + round;
                    if ask(&address, &format!("POST /carts/{cart}/1/1")).status != 204 {
                        refused += 1;
                        continue;
                    }
                    let answer = ask(&address, &format!("POST /carts/{cart}/checkout"));
                    match answer.status {
                        201 => paid += 1,
                        202 => pending.push(answer.number("order")),
                        503 => {
                            assert!(answer.text.contains("retry-after: 1"), "{}", answer.text);
                            refused += 1;
                        }
                        status => panic!("{status}: {}", answer.text),
                    }
                }
                (paid, pending, refused)
            })
        })
        .collect();
    let (mut paid, mut pending, mut refused) = (0, Vec::new(), 0);
    for customer in customers {
        let mut sums = customer.join().unwrap();
        paid += sums.0;
        pending.append(&mut sums.1);
        refused += sums.2;
    }
    let orders = paid + pending.len() as u64;
    println!("{paid} paid, {} pending, {refused} refused", pending.len());
    assert_eq!(
        orders + refused,
        CUSTOMERS * ROUNDS,
        "everybody was answered"
    );
    assert!(paid > 0);
    // What is pending is found out in the end; then the books agree.
    shop.settle(&pending);
    assert_eq!(shop.stock(), before - orders);
    shop.run.signal("TERM");
    let output = shop.run.finish();
    assert!(output.status.success());
    let text = String::from_utf8_lossy(&output.stdout);
    let charged = format!("the provider has charged {orders} orders");
    assert!(text.contains(&charged), "{text}");
}

#[test]
fn a_crash_in_the_middle_leaves_an_order_that_is_settled_and_charged_once() {
    let shop = Shop::open();
    let before = shop.stock();
    // The payments crash while a checkout is under way; whatever happens, the customer learns it.
    let mut orders = Vec::new();
    for cart in 0..20 {
        shop.ask(&format!("POST /carts/{cart}/1/1"));
        let crash = {
            let address = shop.address.clone();
            thread::spawn(move || ask(&address, "POST /crash/payments").status)
        };
        let answer = shop.ask(&format!("POST /carts/{cart}/checkout"));
        match answer.status {
            201 | 202 => orders.push(answer.number("order")),
            503 => {}
            status => panic!("{status}: {}", answer.text),
        }
        crash.join().unwrap();
    }
    shop.settle(&orders);
    let orders = orders.len() as u64;
    assert!(orders > 0);
    wait_until("what was sold is what is missing", || {
        shop.stock() == before - orders
    });
    assert!(shop.ask("GET /tree").text.contains("restarts"));
    shop.run.signal("TERM");
    let output = shop.run.finish();
    let text = String::from_utf8_lossy(&output.stdout);
    let charged = format!(
        "the provider has charged {orders} orders, {} cents",
        450 * orders
    );
    assert!(text.contains(&charged), "{orders}: {text}");
}

#[test]
fn while_the_provider_is_down_checkouts_are_refused_and_nothing_stays_reserved() {
    let shop = Shop::open();
    let before = shop.stock();
    assert_eq!(shop.ask("POST /provider/down").status, 202);
    for cart in 0..50 {
        shop.ask(&format!("POST /carts/{cart}/1/1"));
        assert_eq!(
            shop.ask(&format!("POST /carts/{cart}/checkout")).status,
            503
        );
    }
    assert_eq!(shop.stock(), before);
    assert_eq!(
        shop.ask("GET /products").status,
        200,
        "the rest of the shop is open"
    );
    shop.ask("POST /provider/up");
    wait_until("the breaker lets a checkout through", || {
        shop.ask("POST /carts/1/checkout").status == 201
    });
    shop.run.signal("TERM");
    let output = shop.run.finish();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("charged 1 orders, 450 cents"), "{text}");
}

#[test]
fn a_crash_of_the_catalogue_or_the_carts_closes_nothing() {
    let shop = Shop::open();
    for actor in ["catalogue", "carts"] {
        assert_eq!(shop.ask(&format!("POST /crash/{actor}")).status, 202);
        assert_eq!(shop.ask("GET /products").status, 200);
        assert_eq!(shop.ask("POST /carts/1/2/1").status, 204);
    }
    assert_eq!(shop.ask("POST /crash/nobody").status, 404);
}

#[test]
fn an_address_that_cannot_be_listened_on_is_an_error_in_one_line() {
    let output = Run::start(env!("CARGO_BIN_EXE_service"), ["nowhere"]).finish();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(
        errors.contains("nowhere") && errors.lines().count() == 1,
        "{errors}"
    );
}
