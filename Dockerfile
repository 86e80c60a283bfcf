# Built and used like: docker build -t mesh-sim . && docker run --rm -v "$PWD:/work" -w /work mesh-sim test
# Not built in this project's own CI, which has no Docker engine.
FROM rust:1.95 AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --bin mesh-sim

FROM gcr.io/distroless/cc-debian12
COPY --from=build /src/target/release/mesh-sim /usr/local/bin/mesh-sim
ENTRYPOINT ["mesh-sim"]
