impl Counter {
    /// Adds `n`.
    pub fn add(&mut self, n: u64) {
        self.total += n;
    }

    /// Adds what `text` says. If it is not a number, the counter crashes.
    pub async fn parse(&mut self, text: String) -> Result<(), ParseIntError> {
        self.total += text.parse::<u64>()?;
        Ok(())
    }

    /// The total, and in which incarnation it was reached.
    pub async fn total(&mut self, cx: &mut Context<Self>) -> (u64, u64) {
        (self.total, cx.incarnation())
    }

    /// Divides the total. An error is an answer; the counter goes on.
    pub fn divide(&mut self, by: u64) -> Result<u64, DivideError> {
        self.total = self.total.checked_div(by).ok_or(DivideError)?;
        Ok(self.total)
    }

    /// Takes `n` away. If there is less, the counter crashes, and the asker hears of that.
    pub fn take(&mut self, n: u64) -> Result<u64, Failure> {
        let rest = self.total.checked_sub(n);
        self.total = rest.ok_or(Failure::msg("less than nothing"))?;
        Ok(self.total)
    }

    fn note(&self, path: &str) {
        println!("{path} begins at {}", self.total);
    }
}

/// What a `Counter` is sent.
pub enum CounterMsg {
    /// Adds `n`.
    Add(u64),
    /// Adds what `text` says. If it is not a number, the counter crashes.
    Parse(String),
    /// The total, and in which incarnation it was reached.
    Total(Reply<(u64, u64)>),
    /// Divides the total. An error is an answer; the counter goes on.
    Divide(u64, Reply<Result<u64, DivideError>>),
    /// Takes `n` away. If there is less, the counter crashes, and the asker hears of that.
    Take(u64, Reply<u64>),
}

impl Actor for Counter {
    type Msg = CounterMsg;
    type Error = Failure;

    async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), Failure> {
        self.note(&cx.path());
        Ok(())
    }

    #[allow(clippy::all, deprecated, unreachable_code)]
    async fn handle(&mut self, msg: CounterMsg, cx: &mut Context<Self>) -> Result<(), Failure> {
        match msg {
            CounterMsg::Add(n) => Self::add(self, n),
            CounterMsg::Parse(text) => Self::parse(self, text).await?,
            CounterMsg::Total(reply) => reply.send(Self::total(self, cx).await),
            CounterMsg::Divide(by, reply) => reply.send(Self::divide(self, by)),
            CounterMsg::Take(n, reply) => reply.send(Self::take(self, n)?),
        }
        Ok(())
    }

    fn label(msg: &CounterMsg) -> &'static str {
        match *msg {
            CounterMsg::Add { .. } => "Add",
            CounterMsg::Parse { .. } => "Parse",
            CounterMsg::Total { .. } => "Total",
            CounterMsg::Divide { .. } => "Divide",
            CounterMsg::Take { .. } => "Take",
        }
    }
}

/// A reference to a `Counter`, with a method for each message.
#[allow(dead_code)]
pub struct CounterClient(ActorRef<CounterMsg>);

#[allow(dead_code, clippy::all)]
impl CounterClient {
    /// Adds `n`.
    pub fn add(&self, n: u64) -> Tell<'_, CounterMsg> {
        self.0.tell(CounterMsg::Add(n))
    }

    /// [`add`](Self::add) without waiting: a message that is not accepted is handed back.
    pub fn try_add(&self, n: u64) -> Result<(), TellError<CounterMsg>> {
        self.0.try_tell(CounterMsg::Add(n))
    }

    /// Adds what `text` says. If it is not a number, the counter crashes.
    pub fn parse(&self, text: String) -> Tell<'_, CounterMsg> {
        self.0.tell(CounterMsg::Parse(text))
    }

    /// [`parse`](Self::parse) without waiting: a message that is not accepted is handed back.
    pub fn try_parse(&self, text: String) -> Result<(), TellError<CounterMsg>> {
        self.0.try_tell(CounterMsg::Parse(text))
    }

    /// The total, and in which incarnation it was reached.
    pub fn total(
        &self,
    ) -> Ask<'_, CounterMsg, (u64, u64), impl FnOnce(Reply<(u64, u64)>) -> CounterMsg> {
        self.0.ask(CounterMsg::Total)
    }

    /// Divides the total. An error is an answer; the counter goes on.
    pub fn divide(
        &self,
        by: u64,
    ) -> Ask<
        '_,
        CounterMsg,
        Result<u64, DivideError>,
        impl FnOnce(Reply<Result<u64, DivideError>>) -> CounterMsg,
    > {
        self.0.ask(move |reply| CounterMsg::Divide(by, reply))
    }

    /// Takes `n` away. If there is less, the counter crashes, and the asker hears of that.
    pub fn take(&self, n: u64) -> Ask<'_, CounterMsg, u64, impl FnOnce(Reply<u64>) -> CounterMsg> {
        self.0.ask(move |reply| CounterMsg::Take(n, reply))
    }

    /// The reference itself.
    pub fn actor_ref(&self) -> &ActorRef<CounterMsg> {
        &self.0
    }
}

impl Clone for CounterClient {
    fn clone(&self) -> Self {
        Self(Clone::clone(&self.0))
    }
}

impl fmt::Debug for CounterClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl From<ActorRef<CounterMsg>> for CounterClient {
    fn from(actor: ActorRef<CounterMsg>) -> Self {
        Self(actor)
    }
}

impl From<CounterClient> for ActorRef<CounterMsg> {
    fn from(client: CounterClient) -> Self {
        client.0
    }
}
