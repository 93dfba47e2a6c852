#!/bin/sh
# A service as a runbook for the AWS CLI makes it. Prints the VPC's id.
set -eu
export AWS_DEFAULT_OUTPUT=text AWS_PAGER=
tag() { printf 'ResourceType=%s,Tags=[{Key=Name,Value=%s}]' "$1" "$2"; }

vpc=$(aws ec2 create-vpc --cidr-block 10.40.0.0/16 --tag-specifications "$(tag vpc web)" --query Vpc.VpcId)
gateway=$(aws ec2 create-internet-gateway --query InternetGateway.InternetGatewayId)
aws ec2 attach-internet-gateway --internet-gateway-id "$gateway" --vpc-id "$vpc"
table=$(aws ec2 create-route-table --vpc-id "$vpc" --query RouteTable.RouteTableId)
aws ec2 create-route --route-table-id "$table" --destination-cidr-block 0.0.0.0/0 --gateway-id "$gateway" >/dev/null
subnets=
for zone in a b; do
    number=$((${#subnets} > 0))
    subnet=$(aws ec2 create-subnet --vpc-id "$vpc" --cidr-block "10.40.$number.0/24" --availability-zone "us-east-1$zone" \
        --tag-specifications "$(tag subnet "web-public-$zone")" --query Subnet.SubnetId)
    aws ec2 modify-subnet-attribute --subnet-id "$subnet" --map-public-ip-on-launch
    aws ec2 associate-route-table --route-table-id "$table" --subnet-id "$subnet" >/dev/null
    subnets="$subnets $subnet"
done
group=$(aws ec2 create-security-group --group-name web --description "made by hand" --vpc-id "$vpc" --query GroupId)
aws ec2 authorize-security-group-ingress --group-id "$group" --protocol tcp --port 80 --cidr 0.0.0.0/0 >/dev/null
aws ec2 authorize-security-group-ingress --group-id "$group" --protocol icmp --port 8 --cidr 0.0.0.0/0 >/dev/null
aws ec2 create-key-pair --key-name web-ops --key-type ed25519 --query KeyMaterial >/dev/null
image=$(aws ssm get-parameter --name /aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64 --query Parameter.Value)
targets=$(aws elbv2 create-target-group --name web --protocol HTTP --port 80 --vpc-id "$vpc" --health-check-path /health \
    --health-check-interval-seconds 10 --healthy-threshold-count 2 --query 'TargetGroups[0].TargetGroupArn')
number=1
for subnet in $subnets; do
    instance=$(aws ec2 run-instances --image-id "$image" --instance-type t3.micro --subnet-id "$subnet" \
        --security-group-ids "$group" --key-name web-ops --user-data file://user-data/web-api.py \
        --tag-specifications "$(tag instance "web-$number")" --query 'Instances[0].InstanceId')
    aws ec2 wait instance-running --instance-ids "$instance"
    aws elbv2 register-targets --target-group-arn "$targets" --targets "Id=$instance"
    number=$((number + 1))
done
# shellcheck disable=SC2086 # two words
balancer=$(aws elbv2 create-load-balancer --name web --subnets $subnets --security-groups "$group" \
    --query 'LoadBalancers[0].LoadBalancerArn')
aws elbv2 create-listener --load-balancer-arn "$balancer" --protocol HTTP --port 80 \
    --default-actions "Type=forward,TargetGroupArn=$targets" >/dev/null
aws elbv2 wait load-balancer-available --load-balancer-arns "$balancer"
echo "$vpc"
