#[treewarden::actor]
impl Counter {
    /// Adds `n`.
    #[tell]
    pub fn add(&mut self, n: u64) {
        self.total += n;
    }

    /// Adds what `text` says. If it is not a number, the counter crashes.
    #[tell]
    pub async fn parse(&mut self, text: String) -> Result<(), ParseIntError> {
        self.total += text.parse::<u64>()?;
        Ok(())
    }

    /// The total, and in which incarnation it was reached.
    #[ask]
    pub async fn total(&mut self, cx: &mut Context<Self>) -> (u64, u64) {
        (self.total, cx.incarnation())
    }

    /// Divides the total. An error is an answer; the counter goes on.
    #[ask]
    pub fn divide(&mut self, by: u64) -> Result<u64, DivideError> {
        self.total = self.total.checked_div(by).ok_or(DivideError)?;
        Ok(self.total)
    }

    /// Takes `n` away. If there is less, the counter crashes, and the asker hears of that.
    #[ask(fails)]
    pub fn take(&mut self, n: u64) -> Result<u64, Failure> {
        let rest = self.total.checked_sub(n);
        self.total = rest.ok_or(Failure::msg("less than nothing"))?;
        Ok(self.total)
    }

    #[hook]
    async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), Failure> {
        self.note(&cx.path());
        Ok(())
    }

    fn note(&self, path: &str) {
        println!("{path} begins at {}", self.total);
    }
}
