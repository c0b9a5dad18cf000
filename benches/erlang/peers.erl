%% The workloads of the comparison in Erlang, one measurement for each run of the virtual machine.
%%
%% Two variants: `bare`, processes with a receive loop of their own, and `gen`, gen_servers under a supervisor.
%% Mailboxes of Erlang are unbounded, so no send waits. Prints lines of a workload's name and its figure.
-module(peers).
-behaviour(gen_server).
-export([main/1]).
-export([init/1, handle_call/3, handle_cast/2, terminate/2]).
-export([start_fragile/1, start_doomed/2, start_member/0]).

-define(CLIENTS, 64).
-define(RING, 1000).
-define(FAN, 10000).
-define(GROUP, 100).
-define(SLOW_WORK_NS, 500).
%% OTP's supervisor filters its whole log of restarts at each restart, so its price grows with their number.
-define(CRASHES_PER_SUPERVISOR, 100).

main([Variant, Measurement, BudgetMs, IdleActors, Crashes, SlowMessages, Children]) ->
    %% A report for each crash would be most of the time.
    logger:set_primary_config(level, none),
    Budget = list_to_integer(BudgetMs) * 1000000,
    Sizes = {Budget, list_to_integer(IdleActors), list_to_integer(Crashes), list_to_integer(SlowMessages),
             list_to_integer(Children)},
    [io:format("~s ~.3f~n", [Name, float(Figure)])
     || {Name, Figure} <- measure(Measurement, list_to_atom(Variant), Sizes)],
    halt(0).

measure("tell-1", V, {B, _, _, _, _}) -> [{"tell-1", repeated(B, fun(N) -> tell(V, 1, N, narrow) end)}];
measure("tell-4", V, {B, _, _, _, _}) -> [{"tell-4", repeated(B, fun(N) -> tell(V, 4, N, narrow) end)}];
measure("tell-1-64b", V, {B, _, _, _, _}) -> [{"tell-1-64b", repeated(B, fun(N) -> tell(V, 1, N, wide) end)}];
measure("tell-4-64b", V, {B, _, _, _, _}) -> [{"tell-4-64b", repeated(B, fun(N) -> tell(V, 4, N, wide) end)}];
measure("ask-1", V, {B, _, _, _, _}) -> [{"ask-1", repeated(B, fun(N) -> ask(V, 1, N) end)}];
measure("ask-64", V, {B, _, _, _, _}) -> [{"ask-64", repeated(B, fun(N) -> ask(V, ?CLIENTS, N) end)}];
measure("ping-pong", V, {B, _, _, _, _}) -> [{"ping-pong", repeated(B, fun(N) -> ring(V, 2, N) end)}];
measure("ring", V, {B, _, _, _, _}) -> [{"ring", repeated(B, fun(N) -> ring(V, ?RING, N) end)}];
measure("fan-out", V, {B, _, _, _, _}) -> [{"fan-out", fan_out(V, B)}];
measure("lives", V, {_, Idle, _, _, _}) -> lives(V, Idle);
measure("crash", V, {_, _, Crashes, _, _}) -> crash(V, Crashes);
measure("restart", gen, {_, _, Crashes, _, _}) -> restart(Crashes);
measure("family", gen, {_, _, _, _, Children}) -> family(Children);
measure("peak-memory", V, {_, _, _, Slow, _}) -> peak_memory(V, Slow).

now_ns() -> erlang:monotonic_time(nanosecond).

%% Nanoseconds for each operation; growing runs until one is long enough to tell how many fill the budget.
repeated(Budget, Run) -> repeated(Budget, Run, 1000).

repeated(Budget, Run, N) ->
    case Run(N) of
        {Done, Elapsed} when Elapsed * 10 >= Budget ->
            {Done2, Elapsed2} = Run(max(1, round(Budget * Done / Elapsed))),
            Elapsed2 / Done2;
        _ ->
            repeated(Budget, Run, N * 4)
    end.

%% Goals: see the Rust program. `arrive` sends `done` to the waiter with the last arrival.
goal(Size) -> {atomics_of(Size), Size, {wake, self()}}.

atomics_of(Size) -> A = atomics:new(1, []), atomics:put(A, 1, Size), A.

grouped(Members) ->
    Groups = (Members + ?GROUP - 1) div ?GROUP,
    Top = goal(Groups),
    Size = fun(Group) -> min(?GROUP, Members - Group * ?GROUP) end,
    lists:append([lists:duplicate(Size(G), {atomics_of(Size(G)), Size(G), Top})
                  || G <- lists:seq(0, Groups - 1)]).

arrive({A, Size, Then}) ->
    case atomics:sub_get(A, 1, 1) of
        0 ->
            atomics:put(A, 1, Size),
            case Then of
                {wake, Waiter} -> Waiter ! done;
                Above -> arrive(Above)
            end;
        _ -> ok
    end.

reached() -> receive done -> ok end.

%% The workloads.

tell(V, Senders, Count, Width) ->
    Each = (Count + Senders - 1) div Senders,
    Total = Each * Senders,
    Counter = start(V, {counter, 0, Total, Total, 0, goal(1)}),
    Start = now_ns(),
    [spawn(fun() -> tells(V, Counter, Each, Width) end) || _ <- lists:seq(1, Senders)],
    reached(),
    Elapsed = now_ns() - Start,
    exit(Counter, kill),
    {Total, Elapsed}.

tells(_, _, 0, _) -> ok;
tells(V, To, N, narrow) -> cast(V, To, {add, N}), tells(V, To, N - 1, narrow);
tells(V, To, N, wide) -> cast(V, To, {add, {N, N, N, N, N, N, N, N}}), tells(V, To, N - 1, wide).

ask(V, Clients, Count) ->
    Each = (Count + Clients - 1) div Clients,
    Counter = start(V, {counter, 0, 0, 0, 0, goal(1)}),
    Goal = goal(Clients),
    Start = now_ns(),
    [spawn(fun() -> asks(V, Counter, Each), arrive(Goal) end) || _ <- lists:seq(1, Clients)],
    reached(),
    Elapsed = now_ns() - Start,
    exit(Counter, kill),
    {Each * Clients, Elapsed}.

asks(_, _, 0) -> ok;
asks(V, To, N) -> call(V, To, {get, N}), asks(V, To, N - 1).

ring(V, Size, Hops) ->
    Goal = goal(1),
    Relays = [start(V, {relay, none, Goal}) || _ <- lists:seq(1, Size)],
    [First | Rest] = Relays,
    lists:foreach(fun({From, To}) -> cast(V, From, {link, To}) end, lists:zip(Relays, Rest ++ [First])),
    cast(V, First, {pass, Size}),
    reached(),
    Start = now_ns(),
    cast(V, First, {pass, Hops}),
    reached(),
    Elapsed = now_ns() - Start,
    [exit(Relay, kill) || Relay <- Relays],
    {Hops, Elapsed}.

fan_out(V, Budget) ->
    Counters = [start(V, {counter, 0, 1, 1, 0, Goal}) || Goal <- grouped(?FAN)],
    repeated(Budget, fun(N) ->
        Rounds = (N + ?FAN - 1) div ?FAN,
        Start = now_ns(),
        lists:foreach(fun(_) ->
            lists:foreach(fun(Counter) -> cast(V, Counter, {add, 1}) end, Counters),
            reached()
        end, lists:seq(1, Rounds)),
        {Rounds * ?FAN, now_ns() - Start}
    end).

lives(V, Count) ->
    Lives = lists:zip(grouped(Count), grouped(Count)),
    erlang:garbage_collect(),
    Before = status_bytes("VmRSS:"),
    Start = now_ns(),
    Actors = [start(V, {idle, Started, Stopped}) || {Started, Stopped} <- Lives],
    reached(),
    Spawn = now_ns() - Start,
    Bytes = max(0, status_bytes("VmRSS:") - Before),
    Stop = now_ns(),
    lists:foreach(fun(Actor) -> cast(V, Actor, stop) end, Actors),
    reached(),
    Stopped = now_ns() - Stop,
    [{"spawn", Spawn / Count}, {"bytes", Bytes / Count}, {"stop", Stopped / Count}].

crash(V, Count) ->
    Batches = max(1, Count div ?CRASHES_PER_SUPERVISOR),
    Times = lists:sort(lists:append([crashes(V) || _ <- lists:seq(1, Batches)])),
    [{"crash-p50", percentile(Times, 50) / 1000}, {"crash-p99", percentile(Times, 99) / 1000}].

percentile(Sorted, Percent) ->
    lists:nth(max(1, (length(Sorted) * Percent + 99) div 100), Sorted).

%% A supervisor of our own, that says which process is the next one.
crashes(bare) ->
    Client = self(),
    Supervisor = spawn(fun() -> process_flag(trap_exit, true), supervise(Client) end),
    First = receive {child, Pid} -> Pid end,
    {_, Times} = lists:foldl(fun(_, {Fragile, Times}) ->
        Start = now_ns(),
        Fragile ! crash,
        Next = receive {child, Pid2} -> Pid2 end,
        Next = call(bare, Next, which),
        {Next, [now_ns() - Start | Times]}
    end, {First, []}, lists:seq(1, ?CRASHES_PER_SUPERVISOR)),
    exit(Supervisor, kill),
    Times;
%% OTP's supervisor; the client finds the next process by its name.
crashes(gen) ->
    process_flag(trap_exit, true),
    {ok, Supervisor} = supervisor:start_link(?MODULE, supervisor),
    Times = [begin
        Old = whereis(fragile),
        Start = now_ns(),
        gen_server:cast(fragile, crash),
        next_answers(Old),
        now_ns() - Start
    end || _ <- lists:seq(1, ?CRASHES_PER_SUPERVISOR)],
    unlink(Supervisor),
    Down = monitor(process, Supervisor),
    exit(Supervisor, shutdown),
    receive {'DOWN', Down, _, _, _} -> ok end,
    Times.

%% As many restarts for each supervisor as for crashes.
restart(Count) ->
    process_flag(trap_exit, true),
    Batches = max(1, Count div ?CRASHES_PER_SUPERVISOR),
    Elapsed = lists:sum([restarts() || _ <- lists:seq(1, Batches)]),
    [{"restart", Elapsed / (Batches * ?CRASHES_PER_SUPERVISOR)}].

restarts() ->
    Left = atomics:new(1, []),
    atomics:put(Left, 1, ?CRASHES_PER_SUPERVISOR),
    Start = now_ns(),
    {ok, Supervisor} = supervisor:start_link(?MODULE, {doomed, Left, self()}),
    receive survived -> ok end,
    Elapsed = now_ns() - Start,
    end_of(Supervisor),
    Elapsed.

family(Count) ->
    process_flag(trap_exit, true),
    erlang:garbage_collect(),
    Before = status_bytes("VmRSS:"),
    Start = now_ns(),
    {ok, Supervisor} = supervisor:start_link(?MODULE, family),
    [{ok, _} = supervisor:start_child(Supervisor, []) || _ <- lists:seq(1, Count)],
    Up = now_ns() - Start,
    Bytes = max(0, status_bytes("VmRSS:") - Before),
    Stop = now_ns(),
    end_of(Supervisor),
    Down = now_ns() - Stop,
    [{"child-start", Up / Count}, {"child-stop", Down / Count}, {"child-bytes", Bytes / Count}].

end_of(Supervisor) ->
    unlink(Supervisor),
    Down = monitor(process, Supervisor),
    exit(Supervisor, shutdown),
    receive {'DOWN', Down, _, _, _} -> ok end.

start_doomed(Left, Client) -> gen_server:start_link(?MODULE, {doomed, Left, Client}, []).

start_member() -> gen_server:start_link(?MODULE, {fragile}, []).

supervise(Client) ->
    Child = spawn_link(fun() -> bare({fragile}) end),
    Client ! {child, Child},
    receive {'EXIT', Child, _} -> supervise(Client) end.

next_answers(Old) ->
    case catch gen_server:call(fragile, which) of
        New when is_pid(New), New =/= Old -> New;
        _ -> erlang:yield(), next_answers(Old)
    end.

start_fragile(_) -> gen_server:start_link({local, fragile}, ?MODULE, {fragile}, []).

peak_memory(V, Count) ->
    Counter = start(V, {counter, 0, Count, Count, ?SLOW_WORK_NS, goal(1)}),
    Before = status_bytes("VmRSS:"),
    spawn(fun() -> tells(V, Counter, Count, narrow) end),
    reached(),
    [{"peak-memory", max(0, status_bytes("VmHWM:") - Before) / 1.0e6}].

status_bytes(Key) ->
    {ok, Status} = file:read_file("/proc/self/status"),
    [Line] = [L || L <- string:split(binary_to_list(Status), "\n", all), lists:prefix(Key, L)],
    [_, Kilobytes, "kB"] = string:lexemes(Line, " \t"),
    list_to_integer(Kilobytes) * 1024.

%% The actors. A state is one of
%%   {counter, Total, Batch, Left, WorkNs, Goal}, {relay, Next, Goal}, {idle, Started, Stopped}, {fragile}.

start(bare, State) -> spawn(fun() -> started(State), bare(State) end);
start(gen, State) -> {ok, Pid} = gen_server:start(?MODULE, State, []), Pid.

cast(bare, To, Msg) -> To ! Msg, ok;
cast(gen, To, Msg) -> gen_server:cast(To, Msg).

call(bare, To, Msg) ->
    Ref = make_ref(),
    To ! {call, self(), Ref, Msg},
    receive {Ref, Reply} -> Reply end;
call(gen, To, Msg) -> gen_server:call(To, Msg, infinity).

started({idle, Started, _}) -> arrive(Started);
started(_) -> ok.

bare(State) ->
    receive
        {call, From, Ref, Msg} ->
            {Reply, Next} = answer(Msg, State),
            From ! {Ref, Reply},
            bare(Next);
        stop ->
            stopped(State);
        Msg ->
            bare(handle(bare, Msg, State))
    end.

init(supervisor) ->
    Child = #{id => fragile, start => {?MODULE, start_fragile, [x]}, shutdown => brutal_kill},
    {ok, {#{intensity => 2 * ?CRASHES_PER_SUPERVISOR, period => 1}, [Child]}};
init({doomed, Left, Client}) when is_pid(Client) ->
    case get('$ancestors') of
        %% The supervisor itself is made by the measuring process, its child by the supervisor.
        [Client | _] ->
            Child = #{id => doomed, start => {?MODULE, start_doomed, [Left, Client]}, shutdown => brutal_kill},
            {ok, {#{intensity => 2 * ?CRASHES_PER_SUPERVISOR, period => 1}, [Child]}};
        _ ->
            case atomics:get(Left, 1) of
                0 -> Client ! survived;
                _ -> atomics:sub(Left, 1, 1), gen_server:cast(self(), fail)
            end,
            {ok, {fragile}}
    end;
init(family) ->
    Child = #{id => member, start => {?MODULE, start_member, []}},
    {ok, {#{strategy => simple_one_for_one}, [Child]}};
init(State) ->
    started(State),
    {ok, State}.

handle_call(Msg, _From, State) ->
    {Reply, Next} = answer(Msg, State),
    {reply, Reply, Next}.

handle_cast(stop, State) -> {stop, normal, State};
handle_cast(fail, State) -> {stop, asked_to_fail, State};
handle_cast(Msg, State) -> {noreply, handle(gen, Msg, State)}.

terminate(_, State) -> stopped(State).

stopped({idle, _, Stopped}) -> arrive(Stopped);
stopped(_) -> ok.

handle(_, {add, Payload}, {counter, Total, Batch, Left, Work, Goal}) ->
    work(Work),
    case Left of
        1 -> arrive(Goal), {counter, Total + number(Payload), Batch, Batch, Work, Goal};
        _ -> {counter, Total + number(Payload), Batch, Left - 1, Work, Goal}
    end;
handle(_, {link, To}, {relay, _, Goal}) -> {relay, To, Goal};
handle(_, {pass, 0}, {relay, _, Goal} = State) -> arrive(Goal), State;
handle(V, {pass, Hops}, {relay, Next, _} = State) -> cast(V, Next, {pass, Hops - 1}), State;
handle(_, crash, {fragile}) -> error(asked_to_crash).

answer({get, Number}, {counter, Total, Batch, Left, Work, Goal}) ->
    {Total + Number, {counter, Total + Number, Batch, Left, Work, Goal}};
answer(which, {fragile} = State) -> {self(), State}.

number(Payload) when is_integer(Payload) -> Payload;
number(Payload) -> element(8, Payload).

work(0) -> ok;
work(Ns) -> spin(now_ns() + Ns).

spin(Until) ->
    case now_ns() < Until of
        true -> spin(Until);
        false -> ok
    end.
